/** Facts in the documentation that programs can check against their source. */

import {readFileSync} from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {normaliserNames} from '../differential/msal-node/model.js';
import {ruleNames as msalNodeRules} from '../differential/msal-node/rules.js';
import {ruleNames as pythonRules} from '../differential/python/rules.js';

const root = path.resolve(import.meta.dirname, '..', '..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

test('docs/differences.md names the rules of the differential test, in the same order', t => {
	const lists = read('docs/differences.md').split('\n## ')
		.map(section => [...section.matchAll(/^- \*\*(?<rule>[^*]+)\*\*: /gm)].map(({groups}) => groups!['rule']!))
		.filter(rules => rules.length > 0);
	t.deepEqual(lists, [[...pythonRules], [...msalNodeRules], normaliserNames]);
});

/** Numbers with a fraction or thousands are measured. Versions are not. */
function figuresOf(text: string): string[] {
	const versions = new Set(['7.2', '4.13', '22.1']);
	return text.match(/\d+(?:,\d{3})+|\d+\.\d+/g)!.filter(figure => !versions.has(figure));
}

test('the figures of docs/performance.md are those of the latest benchmark run', t => {
	const measured = new Set(read('bench/RESULTS.md').match(/\d[\d,]*(?:\.\d+)?/g));
	// The last section has figures of single experiments, which are not repeated.
	const [repeated] = read('docs/performance.md').split('\n## Measured decisions\n');
	const figures = figuresOf(repeated!);
	t.true(figures.length > 20);
	t.deepEqual(figures.filter(figure => !measured.has(figure)), []);
});

test('README rounds two figures of docs/performance.md and has no others', t => {
	const performance = read('docs/performance.md');
	const [, ...hits] = /\| warm `getToken`[^|]*\| (?<hits>[\d. /]+) us \|/.exec(performance)!;
	const [, first] = /\| time to first cached token[^|]*\| (?<first>[\d.]+) \//.exec(performance)!;
	const readme = read('README.md');
	const rounded = Math.round(Math.max(...hits[0]!.split(' / ').map(Number)) * 10) / 10;
	t.true(readme.includes(`A cached token takes about ${rounded} µs. A new process has its first token in about ${Math.round(Number(first))} ms.`));
	const [pitch] = readme.split('\n## ');
	t.is(pitch!.match(/\d+(?:\.\d+)?/g)!.length, 2);
});
