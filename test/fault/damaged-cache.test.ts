/** Damage of every kind: both backends agree with the oracle on accept, reject and result. */

import test, {type ExecutionContext} from 'ava';
import type {CacheQuery} from '../../dist/backend/backend.js';
import {backends, scan} from '../helpers/caches/backends.js';
import {
	buildCache, builtClientId, builtEnvironment, cacheSizes, randomNumbers,
} from '../helpers/caches/cache-builder.js';
import {askOracle, differenceOf, type OracleAnswer} from '../helpers/caches/oracle.js';

const nowSec = 1_800_000_000;
const query: CacheQuery = {
	environments: [builtEnvironment], clientId: builtClientId, nowSec, refreshTokenSecrets: true,
};
const tally = () => ({accepted: 0, rejected: 0, changed: 0});

/** Compares all backends on one input. Fails the test at the first difference. */
function compare(t: ExecutionContext, bytes: Uint8Array, counts: ReturnType<typeof tally>, whole: OracleAnswer | undefined, describe: () => string): void {
	const expected = askOracle(bytes, query);
	if ('code' in expected) {
		counts.rejected++;
	} else {
		counts.accepted++;
		counts.changed += whole && differenceOf(expected, whole) === undefined ? 0 : 1;
	}

	for (const backend of backends) {
		const difference = differenceOf(scan(backend, bytes, query), expected);
		if (difference !== undefined) {
			t.fail(`${backend.kind}: ${describe()}: ${difference}`);
		}
	}
}

for (const style of ['node', 'python', 'dotnet'] as const) {
	const bytes = Buffer.from(buildCache({
		...cacheSizes.S, style, nowSec, unicodeNames: true,
	}).text);
	const whole = askOracle(bytes, query);

	test(`every truncation of a 20 KB cache is handled (${style})`, t => {
		t.true(bytes.length > 15_000 && bytes.length < 30_000, `${bytes.length} bytes`);
		const counts = tally();
		for (let length = 0; length < bytes.length; length++) {
			compare(t, bytes.subarray(0, length), counts, whole, () => `cut at ${length}`);
		}

		t.log(counts);
		t.deepEqual(counts, {accepted: 1, rejected: bytes.length - 1, changed: 1}, 'only the empty file is a cache');
	});

	test(`10,000 random byte changes are handled (${style})`, t => {
		const random = randomNumbers(style.length);
		const counts = tally();
		const damaged = Buffer.from(bytes);
		for (let flip = 0; flip < 10_000; flip++) {
			const position = Math.floor(random() * bytes.length);
			const before = damaged[position]!;
			// Changes one bit, or the whole byte.
			damaged[position] = flip % 2 === 0 ? before ^ (1 << Math.floor(random() * 8)) : Math.floor(random() * 256);
			compare(t, damaged, counts, whole, () => `flip ${flip}: byte ${position} from ${before} to ${damaged[position]}`);
			damaged[position] = before;
		}

		t.log(counts);
		t.true(counts.accepted > 1000 && counts.rejected > 1000 && counts.changed > 1000, 'the changes are of all kinds');
	});

	test(`3,000 random insertions, deletions and swaps of ranges are handled (${style})`, t => {
		const random = randomNumbers(100 + style.length);
		const pick = () => Math.floor(random() * bytes.length);
		const counts = tally();
		const inserts = ['"', '\\', '{', '}', '[', ']', ',', ':', ' ', '\n', '\u0000', '\u001F', 'é', '\uFEFF', String.raw`\u0000`, String.raw`\ud800`, String.raw`\u00e9`, '"a":', '{"a":{}},', '-0', '1e999', '0x1', 'null', 'tru', '"__proto__":{},', '"Account":[],'];
		for (let edit = 0; edit < 3000; edit++) {
			const [a, b] = [pick(), pick()].toSorted((x, y) => x - y) as [number, number];
			const pieces = [
				[bytes.subarray(0, a), Buffer.from(inserts[Math.floor(random() * inserts.length)]!), bytes.subarray(a)],
				[bytes.subarray(0, a), bytes.subarray(Math.min(b, a + Math.floor(random() * 8)))],
				[bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(a, b), bytes.subarray(b)],
				[bytes.subarray(0, a), Buffer.from([Math.floor(random() * 256), Math.floor(random() * 256)]), bytes.subarray(a)],
			][edit % 4]!;
			compare(t, Buffer.concat(pieces), counts, whole, () => `edit ${edit} at ${a}..${b}`);
		}

		t.log(counts);
		t.true(counts.rejected > 100);
	});
}

test('30,000 small random documents made of fragments are handled', t => {
	const random = randomNumbers(7);
	const fragments = [
		'{',
		'}',
		'[',
		']',
		',',
		':',
		'"',
		'"',
		'\\',
		' ',
		'\n',
		'\t',
		'\r',
		'\v',
		'0',
		'-',
		'1',
		'.',
		'e',
		'E',
		'+',
		'01',
		'1e5',
		'true',
		'false',
		'null',
		'nul',
		'"a"',
		'"Account"',
		'"AccessToken"',
		'"RefreshToken"',
		'"AppMetadata"',
		String.raw`"Acc\u006funt"`,
		'"home_account_id"',
		'"environment"',
		`"${builtEnvironment}"`,
		'"h.t"',
		'"secret"',
		'"x"',
		'""',
		String.raw`\u12`,
		String.raw`\ud83d\ude00`,
		'é',
		'\u0001',
		'{"home_account_id":"h.t","environment":"LOGIN.microsoftonline.com"}',
		'{"home_account_id":"h.t","environment":"login.microsoftonline.com","secret":"s","family_id":7}',
		'{"a":',
		'"k":',
		',"k":',
		`{"home_account_id":"h.t","environment":"login.microsoftonline.com","client_id":"${builtClientId}","secret":"s","target":"","expires_on":9e9}`,
	].map(fragment => Buffer.from(fragment));
	const counts = tally();
	for (let document = 0; document < 30_000; document++) {
		const count = 1 + Math.floor(random() * 12);
		const pieces = Array.from({length: count}, () => fragments[Math.floor(random() * fragments.length)]!);
		// Half of them may be a valid cache.
		const bytes = document % 2 === 0
			? Buffer.concat(pieces)
			: Buffer.concat([Buffer.from(`{"${['Account', 'RefreshToken', 'AccessToken', 'Other'][document % 4]}":{"k":`), pieces[0]!, Buffer.from('},"Account":{"k":'), pieces.at(-1)!, Buffer.from('}}')]);
		compare(t, bytes, counts, undefined, () => JSON.stringify(bytes.toString('latin1')));
	}

	t.log(counts);
	t.true(counts.accepted > 1000 && counts.rejected > 1000);
});

test('the comparison finds every kind of planted difference', t => {
	const {text} = buildCache({...cacheSizes.S, nowSec});
	const bytes = Buffer.from(text);
	const expected = askOracle(bytes, query);
	type Sections = Record<string, Record<string, Record<string, unknown>>>;
	const planted: Array<[(cache: Sections) => void, RegExp]> = [];
	const plant = (section: string, change: (record: Record<string, unknown>, records: Sections[string], key: string) => void, says: RegExp) => {
		planted.push([cache => {
			const records = cache[section]!;
			const key = Object.keys(records)[0]!;
			change(records[key]!, records, key);
		}, says]);
	};

	// A character of the same length, one entry more, one entry less, one field less, one field more, a number.
	plant('AccessToken', record => {
		record['secret'] = `${String(record['secret']).slice(0, -1)}!`;
	}, /^accessTokens\[\d\]\.secret differs$/);
	plant('RefreshToken', record => {
		record['secret'] = `${String(record['secret']).slice(0, -1)}!`;
	}, /^refreshTokens\[0\]\.secret differs$/);
	plant('AccessToken', (record, records) => {
		records['more'] = {...record, target: 'another'};
	}, /sizeBytes/);
	plant('Account', (_record, records, key) => {
		delete records[key];
	}, /sizeBytes/);
	for (const [change, says] of planted) {
		const cache = JSON.parse(text) as Sections;
		change(cache);
		for (const backend of backends) {
			const answer = scan(backend, bytes, query);
			t.is(differenceOf(answer, expected), undefined);
			t.regex(differenceOf(scan(backend, Buffer.from(JSON.stringify(cache)), query), expected) ?? '', says);
		}
	}

	const slice = expected as Exclude<OracleAnswer, {code: string}>;
	const [token, ...others] = slice.accessTokens as Array<Record<string, unknown>>;
	const {realm, ...withoutRealm} = token!;
	t.is(typeof realm, 'string');
	const answers: Array<[OracleAnswer, RegExp]> = [
		[{...slice, accessTokens: others}, /^5 accessTokens instead of 6$/],
		[{...slice, accounts: []}, /^0 accounts instead of 1$/],
		[{...slice, appMetadata: []}, /^0 appMetadata instead of 1$/],
		[{...slice, accessTokens: [withoutRealm, ...others]}, /realm differs/],
		[{...slice, accessTokens: [{...token, refreshOn: undefined}, ...others]}, /refreshOn differs/],
		[{...slice, accessTokens: [{...token, expiresOn: String(token!['expiresOn'])}, ...others]}, /expiresOn differs/],
		[{...slice, accessTokens: [...others, token]}, /differs/],
		[{code: 'STC_CACHE_CORRUPT'}, /^STC_CACHE_CORRUPT instead of a slice$/],
	];
	for (const [answer, says] of answers) {
		t.regex(differenceOf(answer, slice) ?? '', says);
	}

	t.is(differenceOf(slice, {code: 'STC_CACHE_CORRUPT'}), 'a slice instead of STC_CACHE_CORRUPT');
	t.is(differenceOf({code: 'STC_CACHE_FORMAT'}, {code: 'STC_CACHE_CORRUPT'}), 'STC_CACHE_FORMAT instead of STC_CACHE_CORRUPT');
	t.is(differenceOf({code: 'STC_CACHE_CORRUPT'}, {code: 'STC_CACHE_CORRUPT'}), undefined);
});
