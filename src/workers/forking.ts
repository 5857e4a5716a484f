import type { ChildProcess } from 'node:child_process'
import cluster from 'node:cluster'
import { returnUntaken } from './handed-connections.ts'

/** What a worker is started with, so that the program knows that it is to be one. */
export const WORKER_ARGUMENT = 'worker'

/** Starts a process that speaks `messages.ts`, with its output in a pipe. */
export type Fork = () => ChildProcess

/**
 * Workers by `node:cluster`: where a worker listens, this process accepts the connections and hands each to a worker in
 * turn. So none waits in the queue of a worker that has gone, and each worker has its share. What the other ways cost and
 * lose is shown by `npm run bench -- workers`.
 */
export function createClusterFork(program: string): Fork {
  cluster.schedulingPolicy = cluster.SCHED_RR
  cluster.setupPrimary({ exec: program, args: [WORKER_ARGUMENT], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const listening = new Set<ChildProcess>()
  return () => {
    const worker = cluster.fork()
    const { process: child } = worker
    // The process says the same to whoever holds it.
    worker.on('error', () => undefined)
    worker.on('listening', () => listening.add(child))
    // Behind cluster's own, which takes the worker out of those that connections are handed to.
    child.once('disconnect', () => listening.delete(child))
    returnUntaken(child, { hasOthers: () => listening.size > 0 })
    return child
  }
}
