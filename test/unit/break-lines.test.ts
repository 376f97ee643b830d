/** The line breaks of the minified bundle: they change neither what the code does nor where its source map points. */

import vm from 'node:vm';
import {decode} from '@jridgewell/sourcemap-codec';
import test from 'ava';
import {transform} from 'esbuild';
import {parseAst} from 'rollup/parseAst';
import {breakLines} from '../../scripts/build/break-lines.mjs';

const source = String.raw`
class Counter {
	#count = 0;
	static names = ['first;', 'second}'];
	static {
		Counter.names.push("third\n{");
	}

	get count() { return this.#count; }
	add(amount = 1) {
		for (let index = 0; index < amount; index++) this.#count++;
		return this;
	}
}

function describe(value) {
	switch (typeof value) {
		case 'number': {
			return ${'`'}number ${'$'}{value};
second line ${'$'}{(() => { const inner = value * 2; return inner; })()}${'`'};
		}

		case 'string': console.debug?.(value); return /[;}]\//.test(value) ? 'matches' : 'differs';
		default: return undefined;
	}
}

let done = false;
do done = !done; while (!done)
if (done) describe(1); else describe(2)
globalThis.result = [new Counter().add(3).count, Counter.names, describe(21), describe(';/'), describe('x'), describe(true)];
`;

async function minified() {
	const {code, map} = await transform(source, {
		minifySyntax: true, minifyWhitespace: true, sourcemap: 'external', sourcefile: 'source.js',
	});
	return {code, map};
}

function run(code: string): unknown {
	const context = {console: {}, result: undefined};
	vm.runInNewContext(code, context);
	const {result} = structuredClone<{result: unknown}>({result: context.result});
	return result;
}

test('each statement and each member of a class has a line, and the code does the same', async t => {
	const before = await minified();
	const {code} = breakLines(before, parseAst(before.code));
	t.deepEqual(run(code), run(source));
	t.deepEqual(run(code), [3, ['first;', 'second}', 'third\n{'], 'number 21;\nsecond line 42', 'matches', 'differs', undefined]);
	t.true(code.includes('return this\n}'));
	t.true(code.split('\n').length > 20);
	t.is(code.replaceAll('\n', ''), before.code.replaceAll('\n', ''));
});

test('the source map names the same places as before', async t => {
	const before = await minified();
	const after = breakLines(before, parseAst(before.code));
	const wordAt = (text: string, line: number, column: number) => /^[\w#$]+/.exec(text.split('\n')[line]?.slice(column) ?? '')?.[0];
	let words = 0;
	for (const [line, segments] of decode((JSON.parse(after.map) as {mappings: string}).mappings).entries()) {
		for (const segment of segments) {
			const [column, , sourceLine = 0, sourceColumn = 0] = segment;
			const word = wordAt(after.code, line, column);
			if (word !== undefined && /^[#a-z]\w+$/i.test(word) && word === wordAt(source, sourceLine, sourceColumn)) {
				words++;
			} else if (word !== undefined) {
				// esbuild writes `!1` for `false` and the like; a name never becomes another name.
				t.notRegex(word, /^(?:Counter|describe|amount|index|value|inner|done|names|count|add)$/, `${word} at ${line + 1}:${column + 1}`);
			}
		}
	}

	t.true(words > 30, `${words} names were found at their places`);
	const count = (text: string) => decode((JSON.parse(text) as {mappings: string}).mappings).flat().length;
	t.is(count(after.map), count(before.map));
});
