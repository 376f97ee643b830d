// `npm run power-loss` builds the package and runs the power-loss tests with this script's arguments.

import {installTestPackages} from './lib/debian.mjs';
import {step} from './lib/steps.mjs';
import {runPrepared} from './testing/prepared.mjs';

await step('Debian packages', () => installTestPackages(['disks']));
await runPrepared('test/power-loss/main.ts');
