// A program: reads the given files one after another. Prints JSON: for each, the number of threads started and the size
// found (null: no cache). With `stamp` as the first argument it only gets their stamps.

import {readdirSync} from 'node:fs';
import {createRequire} from 'node:module';
import process from 'node:process';

const load = createRequire(import.meta.url);
const {backend, error} = load('../../../dist/backend/native-backend.js').loadNativeBackend();
const {storeOf} = load('../../../dist/backend/stores.js');
if (!backend) {
	throw error;
}

const query = {environments: ['login.microsoftonline.com'], clientId: 'none', nowSec: 0};
const countThreads = () => readdirSync('/proc/self/task').length;
const readings = [];
const [first, ...others] = process.argv.slice(2);
const isStamp = first === 'stamp';
for (const path of isStamp ? others : [first, ...others]) {
	const before = countThreads();

	const found = await (isStamp ? storeOf(backend, 'plaintext').stamp({path}, 10_000) : storeOf(backend, 'plaintext').query({path}, query, 10_000));
	readings.push({threads: countThreads() - before, sizeBytes: found && (isStamp ? Number(found.split(':')[2]) : found.sizeBytes)});
}

console.log(JSON.stringify(readings));
