/**
 * `npm run bench -- picture`: draws `docs/performance.svg` and fills the tables of `docs/performance.md` from
 * `bench/results/compare.json`, as `compare` does at its end.
 */
import { drawReport } from './compare/pages.ts'

await drawReport()
