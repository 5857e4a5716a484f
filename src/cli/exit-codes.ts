/** What the process ends with (sysexits.h for the last one). */
export const exitCodes = { fine: 0, failed: 1, usage: 2, configuration: 78 } as const
