/** The ages of stale lock files are the same in the addon and in the JavaScript backend: programs with either share the lock files. */

import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {settledAfterMs} from '../../dist/backend/backend.js';

const root = path.resolve(import.meta.dirname, '..', '..');

/** The table in a source file: a name without its affixes, in lower case -> seconds. */
function agesIn(file: string, pattern: RegExp): Record<string, number> {
	const text = fs.readFileSync(path.join(root, file), 'utf8');
	return Object.fromEntries([...text.matchAll(pattern)].map(([, name, seconds]) => [name!.toLowerCase(), Number(seconds)]));
}

test('the addon and the JavaScript backend take lock files for left behind at the same ages', t => {
	const {released, ...shared} = agesIn('native/io/lock_ages.h', /constexpr double k(\w+)Age = ([\d.]+);/g);
	t.deepEqual(agesIn('src/backend/js/stale-lock.ts', /^const (\w+)AgeSec = ([\d.]+);/gm), shared);
	t.deepEqual(Object.keys(shared).toSorted(), ['dead', 'deadelsewhere', 'empty', 'foreign', 'living']);
	t.is(released, 0.25, 'only the addon sees kernel locks');
});

test('the addon and the JavaScript code wait equally long for an empty file to be written', t => {
	const {settled} = agesIn('native/stores/commit.cc', /constexpr int64_t k(\w+)Ms = (\d+);/g);
	t.is(settled, settledAfterMs);
});
