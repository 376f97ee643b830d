// `npm run torture:grants` builds the package and runs the torture of grants with this script's arguments.

import {runPrepared} from './testing/prepared.mjs';

await runPrepared('test/torture/single-use-main.ts');
