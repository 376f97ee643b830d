/** The rules for changing a cache: examples with exact bytes, and random cases compared with an oracle. */

import {Buffer} from 'node:buffer';
import {
	mkdtemp, readFile, rm, writeFile,
} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {CacheBackend, CacheChange, RecordEdit} from '../../dist/backend/backend.js';
import {storeOf} from '../../dist/backend/stores.js';
import {StoreError} from '../../dist/errors.js';
import {backends, native} from '../helpers/caches/backends.js';
import {
	buildCache, builtClientId, builtEnvironment, cacheSizes, randomNumbers,
} from '../helpers/caches/cache-builder.js';
import {isRepeatable, randomCase} from '../helpers/caches/edit-cases.js';
import {applyChange, differenceOfJson, type EditedRoot} from '../helpers/caches/edit-oracle.js';

type Answer = {code: string} | {outcome: string; bytes?: Buffer};

function ask(backend: CacheBackend, bytes: Uint8Array, change: CacheChange): Answer {
	try {
		const result = backend.edit(bytes, change);
		return result.outcome === 'changed' ? {outcome: result.outcome, bytes: Buffer.from(result.bytes)} : {outcome: result.outcome};
	} catch (error) {
		if (!(error instanceof StoreError)) {
			throw error;
		}

		return {code: error.code};
	}
}

/** The first difference between two results. Test output must not contain tokens. */
function differenceOfAnswers(a: Answer, b: Answer): string | undefined {
	const kind = (answer: Answer) => 'code' in answer ? answer.code : answer.outcome;
	if (kind(a) !== kind(b)) {
		return `${kind(a)} instead of ${kind(b)}`;
	}

	if ('code' in a || 'code' in b || !a.bytes || !b.bytes || a.bytes.equals(b.bytes)) {
		return undefined;
	}

	const [one, other] = [a.bytes, b.bytes];
	return `${one.length} bytes and ${other.length}, different from byte ${one.findIndex((byte, index) => byte !== other[index])} on`;
}

/** Parsed by `JSON.parse` after the decoding that caches use. */
function parsed(bytes: Uint8Array): unknown {
	try {
		const text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
		return /^[ \t\r\n]*$/.test(text) ? {} : JSON.parse(text);
	} catch {
		return undefined;
	}
}

for (const backend of backends) {
	/** The new text, or the outcome if there is none. */
	const edited = (text: string | Uint8Array, change: CacheChange | RecordEdit): string => {
		const answer = ask(backend, Buffer.from(text), 'edits' in change ? change : {edits: [change]});
		return 'code' in answer ? answer.code : answer.bytes?.toString() ?? answer.outcome;
	};

	/** Edits the fields of the only record of a cache. */
	const record = (fields: string, change: Partial<RecordEdit>): string => {
		const text = edited(`{"S":{"k":${fields}}}`, {
			section: 'S', action: 'put', key: 'k', ...change,
		});
		return text.startsWith('{"S":{"k":') && text.endsWith('}}') ? text.slice(10, -2) : text;
	};

	const remove = (...keys: string[]): CacheChange => ({edits: keys.map(key => ({section: 'S', action: 'remove', key}))});
	const add = (...keys: string[]): CacheChange => ({
		edits: keys.map(key => ({
			section: 'S', action: 'add', key, set: {a: '1'},
		})),
	});

	test(`${backend.kind}: removes members and the bytes around them`, t => {
		const text = '{ "S" : { "a" : 1 , "b" : {} ,\n"c" : [] } , "T" : 5 }';
		t.is(edited(text, remove('a')), '{ "S" : { "b" : {} ,\n"c" : [] } , "T" : 5 }');
		t.is(edited(text, remove('b')), '{ "S" : { "a" : 1 , "c" : [] } , "T" : 5 }');
		t.is(edited(text, remove('c')), '{ "S" : { "a" : 1 , "b" : {} } , "T" : 5 }');
		t.is(edited(text, remove('a', 'b')), '{ "S" : { "c" : [] } , "T" : 5 }');
		t.is(edited(text, remove('b', 'c')), '{ "S" : { "a" : 1 } , "T" : 5 }');
		t.is(edited(text, remove('a', 'c')), '{ "S" : { "b" : {} } , "T" : 5 }');
		t.is(edited(text, remove('c', 'a', 'b')), '{ "S" : {  } , "T" : 5 }');
		t.is(edited(text, remove('d')), 'unchanged');
		t.is(edited('{"S":{}}', remove('a')), 'unchanged');
		t.is(edited('{"T":{"a":{}}}', remove('a')), 'unchanged');
	});

	test(`${backend.kind}: adds members in the right place`, t => {
		t.is(edited('{"S":{}}', add('x')), '{"S":{"x":{"a":1}}}');
		t.is(edited(' { "S" : { } } \n', add('x', 'y')), ' { "S" : {"x":{"a":1},"y":{"a":1} } } \n');
		t.is(edited('{"S":{"k":{}\n}\n}', add('x', 'y')), '{"S":{"k":{},"x":{"a":1},"y":{"a":1}\n}\n}');
		t.is(edited('{"T":{}\n}', add('x')), '{"T":{},"S":{"x":{"a":1}}\n}');
		t.is(edited('{}', add('x')), '{"S":{"x":{"a":1}}}');
		t.is(edited('{ }', add('x')), '{"S":{"x":{"a":1}} }');
		t.is(edited('{"S": null , "T":1}', add('x')), '{"S": {"x":{"a":1}} , "T":1}');
		for (const text of ['', ' ', '\r\n\t ']) {
			t.is(edited(text, add('x')), '{"S":{"x":{"a":1}}}');
			t.is(edited(text, remove('x')), 'unchanged');
		}

		const {edits} = add('x');
		t.is(edited('', {edits: [...edits, ...edits.map(edit => ({...edit, section: 'T'}))]}), '{"S":{"x":{"a":1}},"T":{"x":{"a":1}}}');
		t.is(edited('{"U":1}', {edits: [...edits, ...edits.map(edit => ({...edit, section: 'T'}))]}), '{"U":1,"S":{"x":{"a":1}},"T":{"x":{"a":1}}}');
	});

	test(`${backend.kind}: removes and adds members in one change`, t => {
		const change = (...removed: string[]): CacheChange => ({edits: [...remove(...removed).edits, ...add('x').edits]});
		const text = '{"S":{ "a":1 , "b":2 , "c":3 }}';
		t.is(edited(text, change('a')), '{"S":{ "b":2 , "c":3,"x":{"a":1} }}');
		t.is(edited(text, change('c')), '{"S":{ "a":1 , "b":2,"x":{"a":1} }}');
		t.is(edited(text, change('a', 'b', 'c')), '{"S":{ "x":{"a":1} }}');
		t.is(edited(text, change('a', 'c')), '{"S":{ "b":2,"x":{"a":1} }}');
		// Removes a key and adds it again.
		t.is(edited('{"S":{"x":{"old":1},"y":{}}}', change('x')), '{"S":{"y":{},"x":{"a":1}}}');
	});

	test(`${backend.kind}: changes the fields of a record`, t => {
		const set = {secret: '"new"', n: '1.50'};
		t.is(record('{"secret":"old","n":0}', {set}), '{"secret":"new","n":1.50}');
		t.is(record('{ "n" : 1.5 ,\n"o":[ ], "secret" : "old" }', {set}), '{ "n" : 1.50 ,\n"o":[ ], "secret" : "new" }');
		t.is(record('{"o":1}', {set}), '{"o":1,"secret":"new","n":1.50}');
		t.is(record('{ }', {set}), '{"secret":"new","n":1.50 }');
		t.is(record('{ "secret": {"secret":"x"} }', {set: {secret: '"new"'}}), '{ "secret": "new" }');
		t.is(record('{ "a":1, "b":2, "c":3 }', {unset: ['a', 'c']}), '{ "b":2 }');
		t.is(record('{ "a":1, "b":2, "c":3 }', {unset: ['a', 'b', 'c'], set: {d: '4'}}), '{ "d":4 }');
		t.is(record('{ "a":1, "b":2, "c":3 }', {unset: ['c'], set: {b: '5', d: '4'}}), '{ "a":1, "b":5,"d":4 }');
		t.is(record('{ "a":1, "b":2, "c":3 }', {unset: ['a', 'x'], set: {b: '5'}}), '{ "b":5, "c":3 }');
		t.is(record('{"a":1,"b":2}', {unset: ['a'], set: {a: '3'}}), '{"a":3,"b":2}', 'a field that is both set and unset is set');
		t.is(record('{"a":1}', {fill: {b: '2'}, set: {a: '1'}}), 'unchanged', 'only a new record gets the `fill` fields');
	});

	test(`${backend.kind}: a change without effect changes nothing; a value in another spelling is rewritten`, t => {
		const set = {a: '"x"', b: '1'};
		t.is(record('{ "b" : 1 , "a" : "x" }', {set, unset: ['c']}), 'unchanged');
		t.is(record(String.raw`{"a":"\u0078","b":1}`, {set}), '{"a":"x","b":1}');
		t.is(record('{"a":"x","b":1.0}', {set}), '{"a":"x","b":1}');
		t.is(record('{}', {action: 'add', set}), 'unchanged');
		t.is(record('{}', {action: 'update', key: 'other', set}), 'unchanged');
		t.is(edited('{}', {
			section: 'S', action: 'update', key: 'k', set,
		}), 'unchanged');
		t.is(edited('{"S":null}', {
			section: 'S', action: 'update', key: 'k', set,
		}), 'unchanged');
		t.is(edited('{"S":{}}', {edits: []}), 'unchanged');
	});

	test(`${backend.kind}: the fill fields come first in a new record`, t => {
		const edit: RecordEdit = {
			section: 'S', action: 'put', key: 'k', fill: {x: '1', y: '2'}, set: {a: '3', y: '4'}, unset: ['b'],
		};
		t.is(edited('{}', edit), '{"S":{"k":{"x":1,"a":3,"y":4}}}');
		t.is(edited('{"S":{"k":null}}', edit), '{"S":{"k":{"x":1,"a":3,"y":4}}}');
		t.is(edited('{}', {section: 'S', action: 'put', key: 'k'}), '{"S":{"k":{}}}');
	});

	test(`${backend.kind}: a record that is not an object is found by its key only and replaced as a whole`, t => {
		for (const odd of ['null', '5', '-1.5e3', 'true', '"x"', '[]', '[{"secret":"x"}]']) {
			const text = `{"S":{"k": ${odd} ,"l":{"secret":"y"}}}`;
			const change: RecordEdit = {
				section: 'S', action: 'put', key: 'k', match: {secret: ['', 'x']}, set: {secret: '"x"'},
			};
			t.is(edited(text, change), '{"S":{"k": {"secret":"x"} ,"l":{"secret":"y"}}}');
			t.is(edited(text, {...change, action: 'update'}), '{"S":{"k": {"secret":"x"} ,"l":{"secret":"y"}}}');
			t.is(edited(text, {...change, action: 'add'}), 'unchanged');
			t.is(edited(text, {...change, action: 'remove', unlessNewer: {field: 'expires_on', value: 0}}), '{"S":{"l":{"secret":"y"}}}');
			t.is(edited(text, {...change, key: 'm', match: {realm: ['x']}}), `{"S":{"k": ${odd} ,"l":{"secret":"y"},"m":{"secret":"x"}}}`);
		}
	});

	test(`${backend.kind}: a section to change must be an object or null`, t => {
		for (const odd of ['5', '"x"', '[]', 'true', '[{"k":{}}]']) {
			for (const change of [add('k'), remove('k')]) {
				t.is(edited(`{"S":${odd}}`, change), 'STC_CACHE_CORRUPT');
			}

			t.is(edited(`{"T":${odd}}`, add('k')), `{"T":${odd},"S":{"k":{"a":1}}}`);
			t.is(edited(`{"S":${odd},"S":{}}`, add('k')), `{"S":${odd},"S":{"k":{"a":1}}}`);
			t.is(edited(`{"S":{},"S":${odd}}`, add('k')), 'STC_CACHE_CORRUPT');
			t.is(edited(`{"S":${odd}}`, {edits: []}), 'unchanged');
		}
	});

	test(`${backend.kind}: the last of duplicate names counts: fields, records, sections`, t => {
		t.is(record('{"a":1,"b":2,"a":1}', {set: {a: '3'}}), '{"a":1,"b":2,"a":3}');
		t.is(record('{"a":3,"b":2,"a":1}', {set: {a: '3'}}), '{"a":3,"b":2,"a":3}');
		t.is(record('{"a":1,"b":2,"a":3}', {set: {a: '3'}}), 'unchanged');
		t.is(record(String.raw`{"a":1,"b":2,"\u0061":1}`, {set: {a: '3'}}), String.raw`{"a":1,"b":2,"\u0061":3}`);
		t.is(record(String.raw`{"a":1,"b":2,"\u0061":1,"c":3}`, {unset: ['a']}), '{"b":2,"c":3}', 'all duplicates are removed, otherwise the older one would be valid again');

		const match: RecordEdit = {
			section: 'S', action: 'put', key: 'z', match: {realm: ['r']}, set: {x: '1'},
		};
		t.is(edited('{"S":{"k":{"realm":"r"},"k":{"realm":"r"}}}', match), '{"S":{"k":{"realm":"r"},"k":{"realm":"r","x":1}}}');
		t.is(edited('{"S":{"k":{"realm":"r"},"k":{"realm":"q"}}}', match), '{"S":{"k":{"realm":"r"},"k":{"realm":"q"},"z":{"x":1}}}');
		t.is(edited('{"S":{"k":{"realm":"r"},"k":5}}', match), '{"S":{"k":{"realm":"r"},"k":5,"z":{"x":1}}}');
		t.is(edited(String.raw`{"S":{"k":{"realm":"q"},"\u006b":{"realm":"r"}}}`, match), String.raw`{"S":{"k":{"realm":"q"},"\u006b":{"realm":"r","x":1}}}`);
		t.is(edited('{"S":{"k":{"realm":"q","realm":"r"}}}', match), '{"S":{"k":{"realm":"q","realm":"r","x":1}}}');
		t.is(edited('{"S":{"k":{"realm":"r","realm":5}}}', {...match, action: 'update'}), 'unchanged');

		const gone: RecordEdit = {section: 'S', action: 'remove', match: {realm: ['r']}};
		t.is(edited('{"S":{"k":{"realm":"q"},"l":1,"k":2,"k":{"realm":"r"},"m":3}}', gone), '{"S":{"l":1,"m":3}}');
		t.is(edited('{"S":{"k":{"realm":"r"},"l":1,"k":2}}', gone), 'unchanged');

		t.is(edited('{"S":{"k":{"realm":"r"}},"T":1,"S":{"l":{"realm":"r"}}}', match), '{"S":{"k":{"realm":"r"}},"T":1,"S":{"l":{"realm":"r","x":1}}}');
		t.is(edited('{"S":{"k":{"realm":"r"}},"S":null}', match), '{"S":{"k":{"realm":"r"}},"S":{"z":{"x":1}}}');
		t.is(edited(String.raw`{"S":{"k":{"realm":"r"}},"\u0053":{}}`, match), String.raw`{"S":{"k":{"realm":"r"}},"\u0053":{"z":{"x":1}}}`);
	});

	test(`${backend.kind}: finds records by their fields`, t => {
		const finds = (fields: string, match: RecordEdit['match']) => edited(`{"S":{"k":${fields}}}`, {section: 'S', action: 'remove', ...(match && {match})}) === '{"S":{}}';
		t.true(finds('{"realm":"Ab"}', {realm: ['x', 'aB']}));
		t.false(finds('{"realm":"ab "}', {realm: ['ab']}) || finds('{"realm":"a"}', {realm: []}) || finds('{"Realm":"a"}', {realm: ['a']}));
		t.false(finds('{"realm":"\u212A"}', {realm: ['k']}) || finds('{"realm":"Ü"}', {realm: ['ü']}), 'only A-Z are compared ignoring case');
		t.true(finds(String.raw`{"realm":"\u0041\ud83d"}`, {realm: ['a\uD83D']}));
		for (const missing of ['{}', '{"realm":null}', '{"realm":5}', '{"realm":["a"]}', '{"realm":""}', '{"realm":"a","realm":{}}']) {
			t.true(finds(missing, {realm: ['a', '']}));
			t.false(finds(missing, {realm: ['a', '5', 'null']}));
		}

		t.true(finds('{"realm":"a","client_id":"c"}', {realm: ['a'], client_id: ['c'], key_id: ['']}));
		t.false(finds('{"realm":"a","client_id":"c"}', {realm: ['a'], client_id: ['d']}));
		t.false(finds('{}', {}) || finds('{}', undefined), 'a match without fields finds nothing');

		t.true(finds('{"secret":"aB"}', {secret: ['x', 'aB']}) && finds(String.raw`{"secret":"a\u0042"}`, {secret: ['aB']}) && finds('{"secret":5}', {secret: ['']}));
		t.false(finds('{"secret":"aB"}', {secret: ['ab']}) || finds('{"secret":"aB"}', {secret: ['a', 'aBc', '']}));

		for (const target of ['"a b"', '"B A"', '" b  a b "', String.raw`"\u0061 b"`]) {
			t.true(finds(`{"target":${target}}`, {target: ['A b']}) && finds(`{"target":${target}}`, {target: ['x', 'b b a']}));
			t.false(finds(`{"target":${target}}`, {target: ['a']}) || finds(`{"target":${target}}`, {target: ['a b c']}) || finds(`{"target":${target}}`, {target: ['']}));
		}

		t.true(finds('{"target":" "}', {target: ['']}) && finds('{}', {target: [' ']}) && finds('{"target":7}', {target: ['']}));
		t.false(finds(String.raw`{"target":"a\tb"}`, {target: ['a b']}) || finds('{"target":"\u212A"}', {target: ['k']}));

		for (const family of ['"1"', '1', '1.0', '1e0', '10E-1']) {
			t.true(finds(`{"family_id":${family}}`, {family_id: ['1']}));
		}

		for (const family of ['""', 'null', '-1', '1.5', '1e16', '[1]', '"1","family_id":true']) {
			t.true(finds(`{"family_id":${family}}`, {family_id: ['']}));
			t.false(finds(`{"family_id":${family}}`, {family_id: ['1', '1.5', '-1']}));
		}

		t.true(finds('{"family_id":0}', {family_id: ['0']}) && finds('{"family_id":-0}', {family_id: ['0']}) && finds('{"family_id":1e15}', {family_id: ['1000000000000000']}));
		t.false(finds('{"realm":1}', {realm: ['1']}), 'a number counts as an ID only in family_id');
	});

	test(`${backend.kind}: a record belongs to the first edit that matches it`, t => {
		const text = '{"S":{"k":{"realm":"r"},"l":{"realm":"r"}}}';
		const first: RecordEdit = {
			section: 'S', action: 'update', key: 'k', set: {x: '1'},
		};
		const second: RecordEdit = {section: 'S', action: 'remove', match: {realm: ['r']}};
		t.is(edited(text, {edits: [first, second]}), '{"S":{"k":{"realm":"r","x":1}}}');
		t.is(edited(text, {edits: [second, first]}), '{"S":{}}');
		t.is(edited(text, {edits: [first, {...second, section: 'T'}]}), '{"S":{"k":{"realm":"r","x":1},"l":{"realm":"r"}}}');
		// All matching records are changed.
		t.is(edited(text, {
			...second, action: 'put', key: 'm', set: {x: '1'},
		}), '{"S":{"k":{"realm":"r","x":1},"l":{"realm":"r","x":1}}}');
		t.is(edited(text, {
			...second, action: 'add', key: 'm', set: {x: '1'},
		}), 'unchanged');
	});

	test(`${backend.kind}: never writes a key twice`, t => {
		const put = (x: string, key = 'k'): RecordEdit => ({
			section: 'S', action: 'put', key, set: {x},
		});
		t.is(edited('{}', {edits: [put('1'), put('2'), put('3', 'l')]}), '{"S":{"k":{"x":1},"l":{"x":3}}}');
		t.is(edited('{"S":{"k":{}}}', {edits: [put('1'), put('2')]}), '{"S":{"k":{"x":1}}}');
		t.is(edited('{"S":{"k":{"realm":"r"}}}', {
			edits: [{
				section: 'S', action: 'remove', match: {realm: ['r']}, unlessNewer: {field: 'expires_on', value: 5},
			}, put('2')],
		}), '{"S":{"k":{"x":2}}}');
		t.is(edited('{"S":{"k":{"realm":"r","expires_on":5}}}', {
			edits: [{
				section: 'S', action: 'remove', match: {realm: ['r']}, unlessNewer: {field: 'expires_on', value: 5},
			}, put('2')],
		}), 'unchanged');
	});

	test(`${backend.kind}: leaves a newer record unchanged and counts it as found`, t => {
		const edit: RecordEdit = {
			section: 'S', action: 'put', key: 'z', match: {realm: ['r']}, set: {secret: '"new"'}, unlessNewer: {field: 'expires_on', value: 1000},
		};
		const with_ = (time: string) => `{"S":{"k":{"realm":"r","expires_on":${time}}}}`;
		for (const time of ['"1000"', '1000', '1e3', '"0001001"', '1001.0', String.raw`"\u0031000"`]) {
			t.is(edited(with_(time), edit), 'unchanged', time);
			t.is(edited(with_(time), {...edit, action: 'remove'}), 'unchanged', time);
		}

		for (const time of ['"999"', '999', '999.5', '1000.5', '"1000 "', '"x"', '""', 'null', '-1001', '"1e3"', '1e16', '[1000]', '"1000","expires_on":5']) {
			t.is(edited(with_(time), edit), `{"S":{"k":{"realm":"r","expires_on":${time},"secret":"new"}}}`, time);
			t.is(edited(with_(time), {...edit, action: 'remove'}), '{"S":{}}', time);
		}

		t.is(edited('{"S":{"k":{"realm":"r","last_modification_time":"7"}}}', {...edit, unlessNewer: {field: 'last_modification_time', value: 7}}), 'unchanged');
	});

	test(`${backend.kind}: G4: an edit of older records leaves those alone that are newer or whose age is unknown`, t => {
		const edit: RecordEdit = {
			section: 'S', action: 'remove', match: {realm: ['r']}, onlyIfOlder: {field: 'expires_on', value: 1000},
		};
		const with_ = (time: string) => `{"S":{"k":{"realm":"r","expires_on":${time}}}}`;
		for (const time of ['"999"', '999', '0', '9.99e2', '"1000","expires_on":5']) {
			t.is(edited(with_(time), edit), '{"S":{}}', time);
			t.is(edited(with_(time), {...edit, action: 'update', set: {x: '1'}}), with_(`${time},"x":1`), time);
		}

		for (const time of ['"1000"', '1000', '1e3', '"x"', '""', 'null', '999.5', '"5","expires_on":"x"']) {
			for (const action of ['remove', 'update', 'put'] as const) {
				t.is(edited(with_(time), {...edit, action, ...(action === 'put' && {key: 'z', set: {x: '1'}})}), 'unchanged', time);
			}
		}

		t.is(edited('{"S":{"k":{"realm":"r"},"z":5}}', {edits: [edit, {...edit, key: 'z'}]}), 'unchanged', 'neither has a time');
	});

	test(`${backend.kind}: A5: a refresh token is replaced only if its secret is one of those that the edit may replace`, t => {
		const edit: RecordEdit = {
			section: 'S', action: 'put', key: 'z', match: {realm: ['r']}, set: {secret: '"new"'}, onlyIfSecret: ['old', 'older', 'ü'],
		};
		const with_ = (secret: string) => `{"S":{"k":{"realm":"r","secret":${secret}}}}`;
		for (const secret of ['"old"', '"older"', String.raw`"\u006fld"`, '"ü"', String.raw`"\u00fc"`, '""', 'null', '5', '["x"]', '"other","secret":"old"']) {
			const text = secret.startsWith('"other"') ? '{"S":{"k":{"realm":"r","secret":"other","secret":"new"}}}' : with_('"new"');
			t.is(edited(with_(secret), edit), text, secret);
			t.is(edited(with_(secret), {...edit, action: 'update'}), text, secret);
			t.is(edited(with_(secret), {...edit, action: 'remove'}), '{"S":{}}', secret);
		}

		for (const secret of ['"newer"', '"OLD"', '"old "', '"Ü"', '"old","secret":"newer"']) {
			for (const action of ['put', 'update', 'remove', 'add'] as const) {
				t.is(edited(with_(secret), {...edit, action}), 'unchanged', secret);
			}

			t.is(edited(with_(secret), {...edit, match: {}, key: 'k'}), 'unchanged', secret);
			t.is(edited(with_(secret), {...edit, onlyIfSecret: []}), 'unchanged', secret);
		}

		t.is(edited('{"S":{"k":{"realm":"r"}}}', edit), with_('"new"'), 'there is no secret to lose');
		t.is(edited('{"S":{"z":[]}}', edit), '{"S":{"z":{"secret":"new"}}}');
		t.is(edited('{"S":{}}', edit), '{"S":{"z":{"secret":"new"}}}', 'nothing matches');
		t.is(edited('{"S":{"k":{"realm":"r","secret":"newer"},"l":{"realm":"r","secret":"old"}}}', edit), '{"S":{"k":{"realm":"r","secret":"newer"},"l":{"realm":"r","secret":"new"}}}', 'each record on its own');
		t.is(edited('{"S":{"k":{"realm":"r","secret":"old","expires_on":"7"}}}', {...edit, unlessNewer: {field: 'expires_on', value: 7}}), 'unchanged', 'both conditions count');
		t.is(edited('{"S":{"z":{"secret":"newer"}}}', {edits: [edit, {...edit, match: {}, onlyIfSecret: ['newer']}]}), 'unchanged', 'the first edit that matches decides');
	});

	test(`${backend.kind}: changes nothing without the required account`, t => {
		const change = (homeAccountId = 'U.T', environments = ['e1', 'E2']): CacheChange => ({...remove('k'), requiredAccount: {homeAccountId, environments}});
		const cache = (account: string) => `{"S":{"k":{}},"Account":${account}}`;
		const done = (account: string) => `{"S":{},"Account":${account}}`;
		for (const account of ['{"a":{"home_account_id":"u.t","environment":"e2"}}', String.raw`{"a":5,"b":{"environment":"E1","home_account_id":"\u0055.t"}}`]) {
			t.is(edited(cache(account), change()), done(account));
			t.is(edited(`{"Account":${account},"S":{"k":{}}}`, change()), `{"Account":${account},"S":{}}`);
			t.is(edited(cache(account), change('u.tt')), 'no-account');
			t.is(edited(cache(account), change('u.t', ['e3'])), 'no-account');
			t.is(edited(cache(account), change('u.t', [])), 'no-account');
		}

		for (const account of [
			'{}',
			'null',
			'[]',
			'5',
			'{"a":null}',
			'{"a":[{"home_account_id":"u.t","environment":"e1"}]}',
			'{"a":{"home_account_id":"u.t"}}',
			'{"a":{"home_account_id":"u.t","environment":"e1"},"a":{}}',
			'{"a":{"home_account_id":"u.t","environment":"e1"},"a":5}',
			'{"a":{"home_account_id":"u.t","environment":"e1","environment":5}}',
			'{"a":{"home_account_id":"u.t","environment":"e1"}},"Account":{}',
			'{"a":{"home_account_id":"u.t","environment":"e1"}},"Account":[]',
		]) {
			t.is(edited(cache(account), change()), 'no-account', account);
		}

		t.is(edited('', change()), 'no-account');
		t.is(edited('{}', change()), 'no-account');
		t.is(edited('{"S":[]}', change()), 'no-account');
		t.is(edited('{"S":{}}', {edits: [], requiredAccount: {homeAccountId: 'u.t', environments: ['e1']}}), 'no-account');
		t.is(edited(cache('{"a":{"home_account_id":"u.t","environment":"e1"},"a":{"home_account_id":"U.t","environment":"e1"}}'), {
			edits: [{section: 'Account', action: 'remove', match: {home_account_id: ['u.t']}}], requiredAccount: {homeAccountId: 'u.t', environments: ['e1']},
		}), '{"S":{"k":{}},"Account":{}}', 'as before the change');
	});

	test(`${backend.kind}: accepts any text as a name and writes it like JSON.stringify`, t => {
		const names = [
			'', '"', '\\', '/', '\b\f\n\r\t', '\u0000\u001F', '\u007F\u0080\u07FF\u0800\uFFFF', '\u2028\u2029', '\u{1F600}\u{10FFFF}', '\uD83D', '\uDE00', '\uDE00\uD83D', 'a\uD83D\u00FC', '__proto__', 'toString',
		];
		for (const name of names) {
			const json = JSON.stringify(name);
			const edit: RecordEdit = {
				section: name, action: 'put', key: name, set: {x: '1'},
			};
			const text = edited('{}', {...edit, set: Object.fromEntries([[name, '1']])});
			t.is(text, `{${json}:{${json}:{${json}:1}}}`);
			t.is(edited(text, {...edit, set: Object.fromEntries([[name, '1']])}), 'unchanged');
			t.is(edited(text, {...edit, set: Object.fromEntries([[name, '"ü"']])}), `{${json}:{${json}:{${json}:"ü"}}}`);
			t.is(edited(text, {
				section: name, action: 'update', key: name, unset: [name],
			}), `{${json}:{${json}:{}}}`);
			t.is(edited(text, {section: name, action: 'remove', key: name}), `{${json}:{}}`);
			t.is(edited(text, {...edit, section: `${name}x`}), `${text.slice(0, -1)},${JSON.stringify(`${name}x`)}:{${json}:{"x":1}}}`);
			const escaped = `"${Array.from({length: name.length}, (_, index) => String.raw`\u${name.charCodeAt(index).toString(16).padStart(4, '0')}`).join('')}"`;
			t.is(edited(`{${escaped}:{${escaped}:{${escaped}:2}}}`, {...edit, set: Object.fromEntries([[name, '1']])}), `{${escaped}:{${escaped}:{${escaped}:1}}}`);
		}
	});

	test(`${backend.kind}: G5: the time of a change grows linearly with its edits and the records`, t => {
		const measure = (count: number, name: string): number => {
			const numbers = Array.from({length: count}, (_, index) => index);
			const text = JSON.stringify({S: Object.fromEntries(numbers.map(number => [`key-${number}`, {home_account_id: 'u.t', secret: `FAKE-${number}`}]))});
			const edits = numbers.map((number): RecordEdit => name === 'by key'
				? {
					section: 'S', action: 'put', key: `key-${number * 2}`, set: {x: '1'},
				}
				: {section: 'S', action: 'remove', match: {home_account_id: ['u.t'], secret: [`FAKE-${number * 2}`]}});
			const bytes = Buffer.from(text);
			// Processor time, which other programs on the machine hardly change.
			const times = Array.from({length: 3}, () => {
				const begin = process.cpuUsage();
				t.is(backend.edit(bytes, {edits}).outcome, 'changed');
				const {user, system} = process.cpuUsage(begin);
				return user + system;
			});
			// Some systems count in steps of 1/64 s.
			return Math.min(...times) || 15_625;
		};

		for (const name of ['by key', 'by secret']) {
			measure(2000, name);
			// 16 times as many take 16 times as long, and 256 times if each edit is compared with each record.
			const [few, many] = [measure(2000, name), measure(32_000, name)];
			t.log(`${name}: ${(many / few).toFixed(1)}`);
			t.true(many < few * 100, `${name}: ${(many / few).toFixed(1)}`);
		}
	});

	test(`${backend.kind}: byte positions are right after non-ASCII text`, t => {
		t.is(edited('{"ü\u{1F600}":"名前","S":{"é":{"ü":"\u{1F600}","x":"ö"},"k":{"a":"名"},"z":"ä"}}', {
			edits: [
				{
					section: 'S', action: 'put', key: 'k', set: {a: '"前"', b: '"ß"'},
				},
				{section: 'S', action: 'remove', key: 'é'},
				...add('ñ').edits,
			],
		}), '{"ü\u{1F600}":"名前","S":{"k":{"a":"前","b":"ß"},"z":"ä","ñ":{"a":1}}}');
	});

	test(`${backend.kind}: refuses anything but a cache, whatever the change`, t => {
		const refused: Array<[string, string | Uint8Array]> = [
			['STC_CACHE_FORMAT', Buffer.from('01000000d08c9ddf0115d1118c7a00c04fc297eb', 'hex')],
			['STC_CACHE_FORMAT', 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0..aXY.Y3Q.dGFn'],
			...['[]', 'null', '"x"', '5', '{', '{"S":{"k":{}}', '{"S":{"k":{"a":1,}}}', '{"S":{}} x', '{"S":{},}', '\uFEFF{}', '{"S":{"k":{"a":"\u0001"}}}', '{"T":01,"S":{}}'].map((text): [string, string] => ['STC_CACHE_CORRUPT', text]),
			['STC_CACHE_CORRUPT', Buffer.from('7b2261223a22ff227d', 'hex')],
		];
		for (const [code, text] of refused) {
			for (const change of [add('x'), remove('k'), {edits: []}, {...add('x'), requiredAccount: {homeAccountId: 'u', environments: []}}]) {
				t.is(edited(text, change), code);
			}
		}

		const error = t.throws(() => backend.edit(Buffer.from('{"S":[{"secret":"FAKE-secret"}]}'), add('x')), {instanceOf: StoreError});
		t.is(error.message, 'The cache is not a token cache: one of its sections is not an object. Sign in again or move it away.');
		t.is(error.code, 'STC_CACHE_CORRUPT');
	});

	test(`${backend.kind}: a file gives the same bytes as memory, whatever the sizes of file and records`, async t => {
		const directory = await mkdtemp(join(tmpdir(), 'stc-edit-'));
		t.teardown(async () => rm(directory, {recursive: true}));
		const path = join(directory, 'cache');
		// Sizes around the addon's read buffer and multiples of it.
		for (const size of [65_000, 65_400, 65_536, 66_000, 131_072, 400_000]) {
			const filler = 'ü'.repeat(size / 2);
			const text = `{"T":"${filler}","S":{"a":{"realm":"r","x":"${filler}"},"b":{"secret":"FAKE","realm":"r"},"c":"${filler}","d":{"y":"${filler}"}} , "U":[]}`;
			const change: CacheChange = {
				edits: [
					{
						section: 'S', action: 'update', match: {realm: ['r']}, set: {realm: '"s"', z: '[]'},
					},
					...remove('c').edits,
					...add('e').edits,
				],
			};
			await writeFile(path, text);
			const result = await storeOf(backend, 'plaintext').commit!({path}, {change, lockPaths: [`${path}.lockfile`], create: false}, 1000);
			t.is(result.outcome, 'written');
			const expected = `{"T":"${filler}","S":{"a":{"realm":"s","x":"${filler}","z":[]},"b":{"secret":"FAKE","realm":"s","z":[]},"d":{"y":"${filler}"},"e":{"a":1}} , "U":[]}`;
			t.true(await readFile(path, 'utf8') === expected, `${size}`);
			t.true(edited(text, change) === expected, `${size}`);
		}
	});

	test(`${backend.kind}: G13: 200,000 levels of JSON are kept, closed, and refused, not closed`, t => {
		for (const [open, inner, close] of [['[', '', ']'], ['{"a":', '1', '}'], ['[{"a":', '1', '}]']] as const) {
			const deep = `${open.repeat(200_000)}${inner}${close.repeat(200_000)}`;
			const change: RecordEdit = {
				section: 'S', action: 'put', key: 'k', set: {x: '1'},
			};
			t.true(edited(`{"T":${deep},"S":{"k":{"y":${deep}}}}`, change) === `{"T":${deep},"S":{"k":{"y":${deep},"x":1}}}`);
			t.true(edited(`{"S":{"k":${deep}}}`, {...change, action: 'remove'}) === '{"S":{}}');
			t.is(edited(`{"T":${deep.slice(0, -1)},"S":{}}`, change), 'STC_CACHE_CORRUPT');
			t.is(edited(`{"S":${deep.startsWith('[') ? deep : '[]'}}`, change), 'STC_CACHE_CORRUPT');
		}
	});
}

/** Compares the backends with each other and with the oracle. Fails the test at the first difference. */
function compare(t: ExecutionContext, bytes: Uint8Array, change: CacheChange, describe: () => string): {answer: Answer; expected: EditedRoot | undefined} {
	const answer = ask(native, bytes, change);
	for (const backend of backends) {
		const difference = differenceOfAnswers(ask(backend, bytes, change), answer);
		if (difference !== undefined) {
			t.fail(`${backend.kind}: ${describe()}: ${difference}`);
		}
	}

	const before = parsed(bytes);
	const expected = before === undefined ? undefined : applyChange(before, change);
	const kind = 'code' in answer ? answer.code : answer.outcome;
	if (expected === undefined || 'code' in expected) {
		if (kind !== 'STC_CACHE_CORRUPT' && !(expected === undefined && kind === 'STC_CACHE_FORMAT')) {
			t.fail(`${describe()}: ${kind} for a corrupt cache`);
		}
	} else if (expected.outcome === 'no-account') {
		if (kind !== 'no-account') {
			t.fail(`${describe()}: ${kind} without the required account`);
		}
	} else if ('code' in answer || answer.outcome === 'no-account') {
		t.fail(`${describe()}: ${kind}`);
	} else {
		const difference = differenceOfJson(answer.bytes ? parsed(answer.bytes) : before, expected.root);
		if (difference !== undefined) {
			t.fail(`${describe()}: ${kind}: ${difference}`);
		}
	}

	return {answer, expected};
}

test('random changes of random caches: the backends and the oracle agree', t => {
	const cases = 20_000;
	const counts: Record<string, number> = {repeated: 0, survivors: 0};
	for (let seed = 0; seed < cases; seed++) {
		const {text, records, change} = randomCase(randomNumbers(seed));
		const bytes = Buffer.from(text);
		const {answer, expected} = compare(t, bytes, change, () => `seed ${seed}`);
		const kind = 'code' in answer ? answer.code : answer.outcome;
		counts[kind] = (counts[kind] ?? 0) + 1;
		if ('code' in answer || !answer.bytes || !expected || !('root' in expected)) {
			continue;
		}

		const after = answer.bytes.toString();
		for (const {section, key, text: record} of records) {
			if (!expected.touched.get(section)?.has(key)) {
				counts['survivors']!++;
				if (!after.includes(record)) {
					t.fail(`seed ${seed}: a record that no edit names has changed`);
				}
			}
		}

		if (isRepeatable(change)) {
			counts['repeated']!++;
			for (const backend of backends) {
				const again = ask(backend, answer.bytes, change);
				if ('code' in again || again.outcome !== (change.requiredAccount && again.outcome === 'no-account' ? 'no-account' : 'unchanged')) {
					t.fail(`${backend.kind}: seed ${seed}: a second application gives ${'code' in again ? again.code : again.outcome}`);
				}
			}
		}
	}

	t.log(counts);
	for (const kind of ['changed', 'unchanged', 'no-account', 'STC_CACHE_CORRUPT', 'repeated', 'survivors']) {
		t.true((counts[kind] ?? 0) > cases / 100, kind);
	}
});

test('a change that only adds inserts one range and moves nothing else', t => {
	let added = 0;
	for (let seed = 0; seed < 3000; seed++) {
		const {text, change} = randomCase(randomNumbers(seed));
		const before = Buffer.from(text);
		const answer = ask(native, before, {edits: [{...change.edits[0]!, action: 'add', key: 'a key of its own'}]});
		if ('code' in answer || !answer.bytes || text.trim() === '') {
			continue;
		}

		const after = answer.bytes;
		let front = 0;
		while (front < before.length && before[front] === after[front]) {
			front++;
		}

		let back = 0;
		while (back < before.length - front && before.at(-1 - back) === after.at(-1 - back)) {
			back++;
		}

		// The change replaces a section that was null.
		if (front + back < before.length && before.subarray(front, before.length - back).toString() !== 'null') {
			t.fail(`seed ${seed}: bytes ${front} to ${before.length - back} are missing`);
		}

		added++;
	}

	t.true(added > 500, `${added}`);
});

const builtChange = (cache: ReturnType<typeof buildCache>): CacheChange => {
	const [{homeAccountId, tenantId, scopes}] = cache.accounts as [typeof cache.accounts[0]];
	const account = {home_account_id: [homeAccountId], environment: ['login.windows.net', builtEnvironment]};
	return {
		requiredAccount: {homeAccountId, environments: account.environment},
		edits: [
			{
				section: 'AccessToken',
				action: 'put',
				key: 'k',
				match: {
					...account, client_id: [builtClientId], realm: [tenantId], target: [`${scopes[0]} https://resource-0.example.net/USER_impersonation`],
				},
				set: {secret: '"FAKE-new"', expires_on: '"2000000000"', refresh_on: '"1900000000"'},
				unset: ['extended_expires_on'],
			},
			{
				section: 'RefreshToken', action: 'put', key: 'r', match: {...account, family_id: ['1']}, set: {secret: '"FAKE-new"'},
			},
			{section: 'IdToken', action: 'remove', match: account},
			{
				section: 'Account', action: 'add', key: 'a', match: account, set: {x: '1'},
			},
			{
				section: 'AppMetadata', action: 'put', key: 'm', match: {client_id: ['other']}, fill: {client_id: '"other"'}, set: {family_id: '"1"'},
			},
		],
	};
};

for (const style of ['node', 'python', 'dotnet'] as const) {
	const cache = buildCache({
		...cacheSizes.S, style, tokensPerAccount: 2, nowSec: 1_800_000_000, unicodeNames: true,
	});
	const bytes = Buffer.from(cache.text);
	const change = builtChange(cache);

	test(`a cache in MSAL's layout is changed as expected (${style})`, t => {
		const {answer} = compare(t, bytes, change, () => style);
		const after = 'code' in answer ? '' : answer.bytes?.toString() ?? '';
		t.is(after.split('FAKE-new').length, 3);
		t.false(after.includes('extended_expires_on') && after.split('extended_expires_on').length > 2);
	});

	test(`every truncation of a cache is handled (${style})`, t => {
		let refused = 0;
		for (let length = 0; length < bytes.length; length++) {
			const {answer} = compare(t, bytes.subarray(0, length), change, () => `cut at ${length}`);
			refused += 'code' in answer ? 1 : 0;
		}

		t.is(refused, bytes.length - 1, 'only the empty file is a valid cache');
	});

	test(`5,000 random byte changes are handled (${style})`, t => {
		const random = randomNumbers(style.length);
		const damaged = Buffer.from(bytes);
		const counts: Record<string, number> = {};
		for (let flip = 0; flip < 5000; flip++) {
			// Most bytes belong to secrets, where few changes have an effect.
			let position = Math.floor(random() * bytes.length);
			for (let tries = 0; tries < 3 && !'{}[],:" '.includes(String.fromCharCode(bytes[position]!)); tries++) {
				position = Math.floor(random() * bytes.length);
			}

			const before = damaged[position]!;
			damaged[position] = flip % 2 === 0 ? before ^ (1 << Math.floor(random() * 8)) : String.raw`{}[],:"\ 0n`.charCodeAt(Math.floor(random() * 11));
			const {answer} = compare(t, damaged, change, () => `flip ${flip}: byte ${position} from ${before} to ${damaged[position]}`);
			const kind = 'code' in answer ? answer.code : answer.outcome;
			counts[kind] = (counts[kind] ?? 0) + 1;
			damaged[position] = before;
		}

		t.log(counts);
		t.true(counts['changed']! > 500 && counts['STC_CACHE_CORRUPT']! > 500);
	});
}
