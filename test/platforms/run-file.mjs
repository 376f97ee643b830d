// node run-file.mjs <test file> [<program that starts this runtime>]: one file of tests, by the stand-in for AVA.

import path from 'node:path';
import process from 'node:process';
import {pathToFileURL} from 'node:url';
import {runTests} from './ava-stand-in.mjs';

const [file, executable] = process.argv.slice(2);
if (executable) {
	// An emulated runtime takes itself for a program of this machine. What tests start has to go through the emulator again.
	process.execPath = executable;
}

await import(pathToFileURL(path.resolve(file)).href);
await runTests();
