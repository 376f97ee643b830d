// Runs one test file with the stand-in for AVA. Usage: node run-file.mjs <test file> [<program that starts this runtime>]

import path from 'node:path';
import process from 'node:process';
import {pathToFileURL} from 'node:url';
import {runTests} from './ava-stand-in.mjs';

const [file, executable] = process.argv.slice(2);
if (executable) {
	// In an emulator, `process.execPath` is the emulated program. Child processes have to start the emulator again.
	process.execPath = executable;
}

await import(pathToFileURL(path.resolve(file)).href);
await runTests();
