/**
 * MSAL for Node and our credential find the same tokens in a cache, except for the rules of docs/differences.md. The long
 * form: `npm run test:differential`.
 */

import test from 'ava';
import {disagreements} from '../differential/comparison.js';
import {lackOf, testWhere} from '../helpers/peers/peers.js';

testWhere(test, [lackOf('msal-node')], 'acquireTokenSilent and getToken find the same token in 300 random caches, or differ by a named rule', async t => {
	const {MsalNodeComparison} = await import('../differential/msal-node/comparison.js');
	const comparison = await MsalNodeComparison.start();
	t.teardown(async () => comparison.close());
	t.deepEqual(await disagreements(comparison, {count: 300, seed: 1}), []);
});
