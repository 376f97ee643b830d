// `npm run power-loss` builds the package and runs the power-loss tests with this script's arguments.

import {runPrepared} from './testing/prepared.mjs';

await runPrepared('test/power-loss/main.ts');
