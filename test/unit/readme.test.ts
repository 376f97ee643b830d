/** What the README promises and programs can check. */

import {readFileSync} from 'node:fs';
import test from 'ava';
import {ruleNames as msalNodeRules} from '../differential/msal-node/rules.js';
import {ruleNames as pythonRules} from '../differential/python/rules.js';

test('the rules of the differential test are the README\'s, in the same order', t => {
	const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
	const tables = [...readme.matchAll(/^\| rule \|.*\n\|[-|]+\n(?<rows>(?:\|.*\n)+)/gm)]
		.map(({groups}) => groups!['rows']!.trimEnd().split('\n').map(row => row.split('|')[1]!.trim()));
	t.deepEqual(tables, [[...pythonRules], [...msalNodeRules]]);
});

test('the figures of the README are those of the benchmarks\' latest results', t => {
	const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
	const results = readFileSync(new URL('../../bench/RESULTS.md', import.meta.url), 'utf8');
	const measured = new Set(results.match(/\d[\d,]*(?:\.\d+)?/g));
	const section = /^## Performance\n(?<text>[\s\S]*?)^## /m.exec(readme)!.groups!['text']!;
	// Versions and counts of calls stand in the sentences as well; what was measured has a fraction or thousands.
	const versions = new Set(['7.2', '4.13', '22.1']);
	const figures = section.match(/\d+(?:,\d{3})+|\d+\.\d+/g)!.filter(figure => !versions.has(figure));
	t.true(figures.length > 20);
	t.deepEqual(figures.filter(figure => !measured.has(figure)), []);
});
