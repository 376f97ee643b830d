/** A program's changes to its view of the cache, as edits that can be merged: `record-diff.ts`. */

import test from 'ava';
import type {CacheChange, RecordEdit} from '../../dist/backend/backend.js';
import {jsBackend} from '../../dist/backend/js/js-backend.js';
import {
	applyChanges, cacheChangesOf, diffRecords, joinChanges, subjectOf, undoneChanges,
} from '../../dist/cache-api/record-diff.js';
import {writesDeepJson} from '../helpers/deep-json.js';

type Json = Record<string, unknown>;

const account = (name: string, rest: Json = {}) => ({
	home_account_id: name, environment: 'login.example', username: `${name}@contoso.com`, ...rest,
});
const token = (name: string, secret: string, rest: Json = {}) => ({
	home_account_id: name, environment: 'login.example', secret, ...rest,
});
const text = (sections: Record<string, Json>) => JSON.stringify(sections);

/** The cache after merging the changes between `before` and `after` into it. */
function merged(cache: Record<string, unknown>, before: Record<string, Json>, after: Record<string, Json>): unknown {
	return mergedWith(JSON.stringify(cache), cacheChangesOf(diffRecords(text(before), text(after))));
}

function mergedWith(cache: string, changes: CacheChange[]): unknown {
	let bytes: Uint8Array = Buffer.from(cache);
	for (const change of changes) {
		const result = jsBackend.edit(bytes, change);
		bytes = result.outcome === 'changed' ? result.bytes : bytes;
	}

	return JSON.parse(Buffer.from(bytes).toString()) as unknown;
}

const editsOf = (before: Record<string, Json>, after: Record<string, Json>): RecordEdit[] => cacheChangesOf(diffRecords(text(before), text(after))).flatMap(({edits}) => edits);

test('without a change there is no edit', t => {
	const cache = {Account: {a: account('ann')}, AccessToken: {t: token('ann', 'FAKE', {nested: {one: 1, two: [2]}})}};
	t.deepEqual(diffRecords(text(cache), text(cache)), []);
	const reordered = {AccessToken: {t: {nested: {two: [2], one: 1}, ...token('ann', 'FAKE')}}, Account: cache.Account};
	t.deepEqual(diffRecords(text(cache), text(reordered)), [], 'the order of records and fields does not matter');
	t.deepEqual(diffRecords('', '{}'), []);
});

test('an added record is written beside those that others added', t => {
	t.deepEqual(
		merged({Account: {b: account('bob')}, Other: [1]}, {Account: {}}, {Account: {a: account('ann')}, AccessToken: {t: token('ann', 'FAKE')}}),
		{Account: {b: account('bob'), a: account('ann')}, Other: [1], AccessToken: {t: token('ann', 'FAKE')}},
	);
});

test('of a changed record, only the changed fields are written', t => {
	const before = {Account: {a: account('ann', {name: 'old', kept: 1, gone: 1})}};
	const after = {Account: {a: account('ann', {name: 'new', kept: 1})}};
	t.deepEqual(editsOf(before, after).map(({set, unset}) => ({set, unset})), [{set: {name: '"new"'}, unset: ['gone']}]);
	t.deepEqual(
		merged({
			Account: {
				a: account('ann', {
					name: 'old', kept: 2, gone: 1, added: 3,
				}),
			},
		}, before, after),
		{Account: {a: account('ann', {name: 'new', kept: 2, added: 3})}},
	);
});

test('a changed record that another program removed meanwhile is written completely', t => {
	const before = {Account: {a: account('ann')}, AccessToken: {t: token('ann', 'FAKE-1', {target: 'x'})}};
	const after = {Account: {a: account('ann')}, AccessToken: {t: token('ann', 'FAKE-2', {target: 'x'})}};
	t.deepEqual(merged({Account: {a: account('ann')}}, before, after), after);
});

test('a secret is never combined with the times of another one', t => {
	const at = (secret: string, rest: Json) => ({Account: {a: account('ann')}, AccessToken: {t: token('ann', secret, rest)}});
	const theirs = at('FAKE-theirs', {cached_at: '5', expires_on: '9', refresh_on: '7'});
	const ours = at('FAKE-ours', {cached_at: '1', expires_on: '2'});
	t.deepEqual(merged(theirs, at('FAKE-old', {cached_at: '1', expires_on: '2'}), ours), ours);
});

test('a removed token is removed from the cache unless another program renewed it meanwhile', t => {
	const without = {Account: {a: account('ann')}, AccessToken: {}};
	const withToken = (secret: string) => ({...without, AccessToken: {t: token('ann', secret)}});
	t.deepEqual(merged(withToken('FAKE-1'), withToken('FAKE-1'), without), without);
	t.deepEqual(merged(withToken('FAKE-2'), withToken('FAKE-1'), without), withToken('FAKE-2'));
	t.deepEqual(merged({...without, AppMetadata: {m: {client_id: 'x'}}}, {...without, AppMetadata: {m: {client_id: 'x'}}}, {...without, AppMetadata: {}}), {...without, AppMetadata: {}}, 'a record without a secret is matched by its key');
});

test('a removed token is distinguished from similar ones', t => {
	const both = {Account: {a: account('ann')}, RefreshToken: {r: token('ann', 'FAKE', {client_id: 'x'}), f: token('ann', 'FAKE', {client_id: 'x', family_id: '1'})}};
	const one = {Account: both.Account, RefreshToken: {f: both.RefreshToken.f}};
	t.deepEqual(merged(both, both, one), one);
});

test('removing an account also removes its tokens from other programs, and nothing else', t => {
	const before = {Account: {a: account('ann'), b: account('bob')}, RefreshToken: {r: token('ann', 'FAKE-1')}};
	const after = {Account: {b: account('bob')}, RefreshToken: {}};
	const cache = {
		...before,
		RefreshToken: {
			r: token('ann', 'FAKE-2'), s: token('ann', 'FAKE-3'), t: token('bob', 'FAKE-4'), u: token('ann', 'FAKE-5', {environment: 'elsewhere.example'}),
		},
		IdToken: {i: token('ann', 'FAKE-6')},
		AccessToken: {},
	};
	t.deepEqual(merged(cache, before, after), {
		Account: {b: account('bob')},
		RefreshToken: {t: token('bob', 'FAKE-4'), u: token('ann', 'FAKE-5', {environment: 'elsewhere.example'})},
		IdToken: {},
		AccessToken: {},
	});
});

test('a record of a known account needs that account in the cache; a record that signs an account in does not', t => {
	const ann = {Account: {a: account('ann'), a2: account('ann', {environment: 'other.example'})}};
	const changes = cacheChangesOf(diffRecords(text(ann), text({
		Account: {...ann.Account, b: account('bob')}, AccessToken: {t: token('ann', 'FAKE-1'), u: token('bob', 'FAKE-2')}, AppMetadata: {m: {client_id: 'x'}},
	})));
	t.deepEqual(changes.map(({requiredAccount, edits}) => ({requiredAccount, keys: edits.map(({key}) => key)})), [
		{requiredAccount: undefined, keys: ['b', 'u', 'm']},
		{requiredAccount: {homeAccountId: 'ann', environments: ['login.example', 'other.example']}, keys: ['t']},
	]);
	t.deepEqual(mergedWith('{"Account":{}}', changes), {Account: {b: account('bob')}, AccessToken: {u: token('bob', 'FAKE-2')}, AppMetadata: {m: {client_id: 'x'}}});
});

test('anything but sections and records is ignored', t => {
	const before = '{"Account":{"a":1,"b":null},"List":[{"x":1}],"Text":"x","Number":1}';
	const after = '{"Account":{"a":2,"b":[1]},"List":[],"Text":"y"}';
	t.deepEqual(diffRecords(before, after), []);
	t.deepEqual(diffRecords('[1]', '[2]'), []);
});

test('accepts any name', t => {
	const before = '{"__proto__":{"constructor":{"secret":"FAKE-1","toString":1}}}';
	const after = '{"__proto__":{"constructor":{"secret":"FAKE-2","__proto__":2},"hasOwnProperty":{"secret":"FAKE-3"}}}';
	const changes = diffRecords(before, after);
	t.deepEqual(mergedWith(before, cacheChangesOf(changes)), JSON.parse(after));
	t.deepEqual(JSON.parse(applyChanges(before, changes)), JSON.parse(after));
	t.is(Object.getPrototypeOf(Object.prototype), null);
});

test('changes that are applied at once equal the merged result', t => {
	const before = {
		Account: {a: account('ann'), b: account('bob')}, AccessToken: {t: token('ann', 'FAKE-1', {gone: 1}), u: token('ann', 'FAKE-2'), v: token('bob', 'FAKE-3')},
	};
	const after = {
		Account: {a: account('ann'), c: account('cid')}, AccessToken: {t: token('ann', 'FAKE-4'), w: token('cid', 'FAKE-5')},
	};
	const changes = diffRecords(text(before), text(after));
	const cache = {...before, Account: {...before.Account, d: account('dan')}, Other: {x: {y: 1}}};
	const expected = {Account: {a: account('ann'), d: account('dan'), c: account('cid')}, AccessToken: after.AccessToken, Other: {x: {y: 1}}};
	t.deepEqual(JSON.parse(applyChanges(text(cache), changes)), expected);
	t.deepEqual(mergedWith(text(cache), cacheChangesOf(changes)), expected);
	t.deepEqual(JSON.parse(applyChanges('', changes)), {Account: {c: account('cid')}, AccessToken: {w: token('cid', 'FAKE-5')}}, 'records of a removed account are not written');
});

test('of two changes to one record the later one counts, relative to the start of the first', t => {
	const state = (secret: string) => text({Account: {a: account('ann')}, AccessToken: {t: token('ann', secret)}});
	const [first] = diffRecords(state('FAKE-1'), state('FAKE-2'));
	const [second] = diffRecords(state('FAKE-2'), state('FAKE-3'));
	const [removal] = diffRecords(state('FAKE-2'), text({Account: {a: account('ann')}}));
	t.is(subjectOf(first!), subjectOf(second!));
	t.is(subjectOf(first!), subjectOf(removal!));
	t.deepEqual([joinChanges(first, second!)], diffRecords(state('FAKE-1'), state('FAKE-3')));
	t.true(joinChanges(first, removal!) === removal);
	t.true(joinChanges(undefined, first!) === first);
});

test('a change is undone by the opposite change while its account exists', t => {
	const state = (tokens: Json, accounts?: Json) => text({Account: accounts ?? {a: account('ann')}, AccessToken: tokens});
	const before = state({t: token('ann', 'FAKE-1'), x: token('ann', 'FAKE-9')});
	const changes = diffRecords(before, state({t: token('ann', 'FAKE-2'), u: token('ann', 'FAKE-3')}));
	const undoneIn = (cache: string) => undoneChanges(cache, changes).map(change => change.kind === 'put' && change.key);
	t.deepEqual(undoneIn(before), ['t', 'u']);
	t.deepEqual(undoneIn(state({t: token('ann', 'FAKE-2'), u: token('ann', 'FAKE-3')})), []);
	t.deepEqual(undoneIn(state({t: token('ann', 'FAKE-7'), u: token('ann', 'FAKE-8')})), [], 'another program renewed them');
	t.deepEqual(undoneIn(state({u: token('ann', 'FAKE-3')})), ['t'], 'the copy is older than the record');
	t.deepEqual(undoneIn(state({t: token('ann', 'FAKE-1')}, {b: account('bob')})), [], 'the account was signed out');
	t.deepEqual(undoneIn(''), []);
});

test('A8: a change is undone by any of the earlier versions of its record, but not by the version that it made', t => {
	const state = (secret: string) => text({Account: {a: account('ann')}, AccessToken: {t: token('ann', secret)}});
	const changes = diffRecords(state('FAKE-2'), state('FAKE-3'));
	const versions = ['FAKE-1', 'FAKE-2', 'FAKE-3'].map(secret => token('ann', secret));
	const isUndoneIn = (secret: string) => undoneChanges(state(secret), changes, () => versions).length === 1;
	t.true(isUndoneIn('FAKE-1'));
	t.true(isUndoneIn('FAKE-2'));
	t.false(isUndoneIn('FAKE-3'));
	t.false(isUndoneIn('FAKE-4'));
});

test('random caches: concurrent changes of two programs are all kept', t => {
	let seed = 20_261_123;
	const random = (below: number) => {
		seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
		return (seed >>> 8) % below;
	};

	const names = ['ann', 'bob', 'cid'];
	const accounts = Object.fromEntries(names.map(name => [name, account(name)]));
	for (let round = 0; round < 300; round++) {
		const base: Json = Object.fromEntries(Array.from({length: random(6)}, (_, index) => [`k${index}`, token(names[random(3)]!, `FAKE-${round}-${index}`)]));
		const change = (who: string, parity: number): Json => {
			const records = {...base};
			for (let index = parity; index < 8; index += 2) {
				const key = `k${index}`;
				const action = random(3);
				if (action === 0) {
					records[key] = token(names[random(3)]!, `FAKE-${who}-${round}-${index}`);
				} else if (action === 1) {
					delete records[key];
				}
			}

			return records;
		};

		// The programs change different records.
		const [ours, theirs] = [change('ours', 0), change('theirs', 1)];
		const expected = Object.fromEntries(Array.from({length: 8}, (_, index) => `k${index}`)
			.map((key, index): [string, unknown] => [key, (index % 2 === 0 ? ours : theirs)[key]])
			.filter(([, record]) => record !== undefined));
		t.deepEqual(
			merged({Account: accounts, AccessToken: theirs}, {Account: accounts, AccessToken: base}, {Account: accounts, AccessToken: ours}),
			{Account: accounts, AccessToken: expected},
		);
	}
});

test('G13: 200,000 levels of JSON are a typed error, unless this Node can write them', t => {
	const cache = (inner: string) => `{"AccessToken":{"k":{"home_account_id":"u.t","x":${'['.repeat(200_000)}${inner}${']'.repeat(200_000)}}}}`;
	if (writesDeepJson) {
		t.is(diffRecords(cache(''), cache('1')).length, 1);
		return;
	}

	for (const work of [() => diffRecords(cache(''), cache('1')), () => cacheChangesOf(diffRecords('', cache(''))), () => applyChanges(cache(''), [])]) {
		const error = t.throws<Error & {code: string}>(work, {name: 'StoreError'});
		t.is(error.code, 'STC_CACHE_CORRUPT');
	}
});
