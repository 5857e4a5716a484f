/** Seconds; OpenTelemetry's boundaries for HTTP. */
export const httpSeconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** Seconds, finer: for what the gateway and its stores do, which is a matter of microseconds when all is well. */
export const fineSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]

/** Bytes of a session or an assertion. */
export const payloadBytes = [256, 1024, 2048, 4096, 8192, 16_384, 65_536]
