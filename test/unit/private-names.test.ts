/** The build keeps the names of private members while it shortens those of local variables. */

import {readFileSync} from 'node:fs';
import vm from 'node:vm';
import test from 'ava';
import {transform} from 'esbuild';
import {parseAst} from 'rollup/parseAst';
import {markPrivateNames, unmarkPrivateNames} from '../../scripts/build/private-names.mjs';

const code = `class Counter {
	#count = 0;
	static #made = 0;
	get #twice() { return this.#count * 2; }
	async #add(amount, {hasLimit = false} = {}) { this.#count += hasLimit ? Math.min(amount, 10) : amount; }
	async run(amount) {
		Counter.#made++;
		const longLocalName = '#count $count';
		await this.#add(amount, {hasLimit: longLocalName !== ''});
		return [this.#twice, this?.#count, \`\${longLocalName}\`, Counter.#made];
	}
}
`;

test('private members keep their names while local variables lose theirs', async t => {
	const marked = markPrivateNames(code, parseAst(code));
	t.is(marked.length, code.length);
	t.regex(marked, /this\.\$add\(/);
	const {code: minified} = await transform(marked, {minify: true});
	const kept = unmarkPrivateNames(minified, parseAst(minified));
	t.is(kept.length, minified.length);
	t.regex(kept, /#count=0/);
	t.regex(kept, /async #add\(/);
	t.notRegex(kept, /longLocalName/);
	const Counter = vm.runInThisContext(`${kept};Counter`) as new () => {run: (amount: number) => Promise<unknown[]>};
	t.deepEqual(await new Counter().run(12), [20, 10, '#count $count', 1]);
});

test('a local variable that the minifier calls $ stays one', t => {
	const text = 'for(const $ of list)$.id?$a.push($):$a=$.$id';
	t.is(unmarkPrivateNames(text, parseAst(text)), 'for(const $ of list)$.id?$a.push($):$a=$.#id');
});

test('a member whose name begins with the mark ends the build', t => {
	const text = 'settings.$schema = 1';
	t.throws(() => markPrivateNames(text, parseAst(text)), {message: /\$schema/});
});

test('the stack of an error names the private method', t => {
	const built = readFileSync(new URL('../../dist/index.js', import.meta.url), 'utf8');
	t.regex(built, /async #acquireFor\(/);
});
