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
