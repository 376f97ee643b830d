/**
 * Generates random small caches and changes. The few names and values make edits hit existing records. The texts cover
 * all of JSON: white space, escapes, duplicate names and every kind of value. The same random numbers give the same
 * case.
 */

import type {CacheChange, MatchField, RecordEdit} from '../../../dist/backend/backend.js';

export type RandomCase = {
	text: string;
	/** Each record with its section, its key and its text, which includes the key. */
	records: Array<{section: string; key: string; text: string}>;
	change: CacheChange;
};

const sections = ['AccessToken', 'RefreshToken', 'Account', 'other', '名', '__proto__'];
const keys = ['k1', 'k2', 'k3', 'K1', 'кл', 'a"b\\', '\u{1F600}', '\uD83D', '', '__proto__', '1', 'constructor', '\u0001\u007F\u2028', 'k'.repeat(40)];
const stock: Readonly<Record<string, readonly string[]>> = {
	home_account_id: ['u1.t', 'U1.T', 'u2.t', 'ü.t', 'Ü.t'],
	environment: ['e1', 'E1', 'e2', ''],
	client_id: ['c1', 'c2', ''],
	realm: ['r1', 'R1', ''],
	target: ['a b', 'B  a A', 'a', 'b', ' ', '', 'ä b', 'Ä b', '\u212A k'],
	requested_scopes: ['a b', 'b A', ''],
	family_id: ['1', '', '0', 'F'],
	secret: ['FAKE-1', 'fake-1', 'FAKE-2', ''],
	token_type: ['Bearer', 'bearer', 'pop', ''],
	key_id: ['x', ''],
	ext_cache_key: ['x', ''],
	requestedClaimsHash: ['x', ''],
	userAssertionHash: ['x', ''],
};
/** Ignores inherited properties, so that `__proto__` has no values. */
const stockOf = (name: string) => Object.hasOwn(stock, name) ? stock[name] : undefined;
const matchFields = Object.keys(stock) as MatchField[];
const times = ['expires_on', 'last_modification_time'] as const;
const otherFields = ['x', '', '__proto__', 'ключ', '\uDE00', '1', 'refresh_on'];
const oddValues = ['null', 'true', 'false', '0', '-0', '1', '1.0', '1e0', '1E+2', '-1.5e-3', '123456789012345678901234567890', '[]', '{}', '[1, {"a" : null}]', '{"secret":"FAKE-3"}', String.raw`"\ud83d\ude00\/\n"`, '"ü"'];

export function randomCase(random: () => number): RandomCase {
	const integer = (below: number) => Math.floor(random() * below);
	const pick = <Item>(items: readonly Item[]): Item => items[integer(items.length)]!;
	const chance = (probability: number) => random() < probability;
	const style = pick(['compact', 'python', 'wild'] as const);
	const withEscapes = chance(0.5);

	const space = () => style === 'wild' && chance(0.3) ? pick([' ', '\n', '\t', '\r\n', '  ']) : '';
	const indent = (depth: number) => style === 'python' ? `\n${' '.repeat(4 * depth)}` : space();
	const string = (value: string) => {
		const text = JSON.stringify(value);
		return withEscapes && chance(0.3)
			? `"${[...text.slice(1, -1).matchAll(/\\u....|\\.|./gsu)].map(([part]) => part.length === 1 && chance(0.3) ? String.raw`\u${part.charCodeAt(0).toString(16).padStart(4, '0')}` : part).join('')}"`
			: text;
	};

	const objectText = (members: string[], depth: number) => members.length === 0
		? `{${space()}}`
		: `{${members.map(member => `${indent(depth + 1)}${member}${style === 'python' ? '' : space()}`).join(',')}${indent(depth)}}`;
	const member = (name: string, value: string) => `${string(name)}${space()}:${style === 'python' ? ' ' : space()}${value}`;

	const fieldText = (name: string): string => {
		if (chance(0.15)) {
			return pick(oddValues);
		}

		const values = stockOf(name);
		return values ? string(pick(values)) : pick(['"5"', '"7"', '5', '7', '7.0', '"9"', '"x"']);
	};

	const record = (): string => {
		if (chance(0.07)) {
			return pick(oddValues);
		}

		const names: string[] = matchFields.filter(() => chance(0.6));
		names.push(...times.filter(() => chance(0.5)), ...otherFields.filter(() => chance(0.1)), ...matchFields.filter(() => chance(0.04)));
		for (let index = names.length - 1; index > 0 && chance(0.8); index--) {
			const other = integer(index + 1);
			[names[index], names[other]] = [names[other]!, names[index]!];
		}

		return objectText(names.map(name => member(name, fieldText(name))), 2);
	};

	const records: RandomCase['records'] = [];
	const section = (name: string): string => {
		if (chance(0.06)) {
			return chance(0.6) ? 'null' : pick(oddValues);
		}

		const made = Array.from({length: integer(6)}, () => {
			const key = pick(keys);
			const text = member(key, record());
			records.push({section: name, key, text});
			return text;
		});
		return objectText(made, 1);
	};

	const names = sections.filter(() => chance(0.6));
	if (chance(0.15)) {
		names.push(pick(sections));
	}

	const text = chance(0.03)
		? pick(['', ' ', '\n\t', '{}', ' { } '])
		: `${space()}${objectText(names.map(name => member(name, section(name))), 0)}${chance(0.2) ? '\n' : ''}`;

	const fields = (probability: number) => Object.fromEntries([...matchFields, ...times, ...otherFields]
		.filter(() => chance(probability))
		.map(name => [name, chance(0.2) ? pick(oddValues) : JSON.stringify(pick(stockOf(name) ?? ['5', '7', 'y']))]));
	const edit = (): RecordEdit => {
		const action = pick(['put', 'put', 'update', 'add', 'remove', 'remove'] as const);
		const hasKey = action === 'put' || action === 'add' || chance(0.4);
		const matched = matchFields.filter(() => chance(0.12));
		return {
			section: chance(0.8) ? pick(sections.slice(0, 3)) : pick(sections),
			action,
			...(hasKey && {key: pick(keys)}),
			...(chance(0.8) && {match: Object.fromEntries(matched.map(name => [name, (stockOf(name) ?? []).filter(() => chance(0.5))]))}),
			...(chance(0.9) && {set: fields(0.15)}),
			...(chance(0.4) && {fill: fields(0.1)}),
			...(chance(0.3) && {unset: [...matchFields, ...times, ...otherFields].filter(() => chance(0.15))}),
			...(chance(0.2) && {unlessNewer: {field: pick(times), value: pick([5, 6, 7, 8])}}),
			...(chance(0.1) && {onlyIfOlder: {field: pick(times), value: pick([5, 6, 7, 8])}}),
			...(chance(0.2) && {onlyIfSecret: stockOf('secret')!.filter(() => chance(0.4))}),
		};
	};

	return {
		text,
		records,
		change: {
			edits: Array.from({length: chance(0.5) ? 1 : 1 + integer(chance(0.2) ? 24 : 4)}, edit),
			...(chance(0.2) && {requiredAccount: {homeAccountId: pick(stock['home_account_id']!), environments: ['e1', 'e2']}}),
		},
	};
}

/** Whether applying the change a second time changes nothing: no edit depends on what it or another edit writes. */
export function isRepeatable({edits}: CacheChange): boolean {
	return new Set(edits.map(({section}) => section)).size === edits.length && edits.every(({set = {}, fill = {}, unset = [], match = {}, unlessNewer, onlyIfOlder, onlyIfSecret}) => {
		const written = new Set([...Object.keys(set), ...unset]);
		return !Object.keys(match).some(name => written.has(name))
			&& !Object.keys(fill).some(name => unset.includes(name))
			&& !(unlessNewer && written.has(unlessNewer.field))
			&& !(onlyIfOlder && written.has(onlyIfOlder.field))
			&& !(onlyIfSecret && written.has('secret'));
	});
}
