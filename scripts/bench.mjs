// `npm run bench`: prepares what is needed and runs the benchmarks. Arguments go to them.

import {runPrepared} from './lib/prepared.mjs';

await runPrepared('bench/main.ts');
