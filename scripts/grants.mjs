// `npm run grants` builds the package and runs the table of shared grants with this script's arguments.

import {runPrepared} from './testing/prepared.mjs';

await runPrepared('test/torture/grants-table.ts');
