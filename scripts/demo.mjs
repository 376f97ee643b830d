// `npm run demo` builds the package and runs the demo with this script's arguments, such as `npm run demo -- --real`.

import {runPrepared} from './testing/prepared.mjs';

await runPrepared('scripts/demo/main.ts');
