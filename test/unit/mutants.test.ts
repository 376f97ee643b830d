/** The mistakes of `scripts/quality/mutants.mjs` follow the code that they change. */

import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {mutants} from '../../scripts/quality/mutants.mjs';

const root = path.resolve(import.meta.dirname, '..', '..');

test('the text that a mistake replaces occurs exactly once in its file', t => {
	const misplaced = mutants
		.map(({rule, what, file, from}) => ({
			mistake: `${rule}: ${what}`, file, from, count: fs.existsSync(path.join(root, file)) ? fs.readFileSync(path.join(root, file), 'utf8').split(from).length - 1 : 0,
		}))
		.filter(({count}) => count !== 1);
	t.deepEqual(misplaced, []);
});

test('a mistake changes something, and no two are the same', t => {
	t.deepEqual(mutants.filter(({from, to}) => from === to), []);
	t.is(new Set(mutants.map(({file, from, to}) => JSON.stringify([file, from, to]))).size, mutants.length);
});
