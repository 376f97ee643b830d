// `npm run torture` builds the package and runs the torture tests with this script's arguments.

import {runPrepared} from './testing/prepared.mjs';

await runPrepared('test/torture/main.ts');
