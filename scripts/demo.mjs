// `npm run demo`: prepares what is needed and runs the demo. Arguments go to it: `npm run demo -- --real`.

import {runPrepared} from './testing/prepared.mjs';

await runPrepared('scripts/demo/main.ts');
