// `npm run torture`: prepares what is needed and runs the long tests. Arguments go to them.

import {runPrepared} from './testing/prepared.mjs';

await runPrepared('test/torture/main.ts');
