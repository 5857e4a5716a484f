/** Every worker accepts for itself, on one socket that all of them have: `node:cluster`'s other way. */
import cluster from 'node:cluster'

if (cluster.isPrimary) {
  cluster.schedulingPolicy = cluster.SCHED_NONE
  // What is chosen by the first call stays.
  cluster.setupPrimary()
}
