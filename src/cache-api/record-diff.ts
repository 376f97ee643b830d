/**
 * Compares the text of MSAL's cache before and after a program's changes, record by record, and turns the differences into edits that can be
 * merged into what other programs have written meanwhile. No I/O, no clock.
 */

import type {CacheChange, MatchField, RecordEdit} from '../backend/backend.js';
import {editsOfSignOut} from '../cache/sign-out-edits.js';
import {StoreError} from '../errors.js';
import {isObject, type JsonObject} from '../runtime/json.js';

type Account = {homeAccountId: string; environment: string};

export type KnownAccount = {homeAccountId: string; environments: readonly string[]};

/** A record that was added or changed. */
export type RecordPut = {
	kind: 'put';
	section: string;
	key: string;
	/** `undefined` if it was added. */
	before: JsonObject | undefined;
	after: JsonObject;
	/** The record's account, if it was in the cache before. If it is gone when the change is written, it was signed out and must stay out. */
	account: KnownAccount | undefined;
	/** Whether the record came with its account, which was not in the cache before. */
	isSignIn: boolean;
	/** Whether the cache had accounts then. If it has none any more, everybody was signed out. */
	hadAccounts: boolean;
};

/** A record that was removed while its account stayed. */
export type RecordRemoval = {kind: 'remove'; section: string; key: string; before: unknown};

/** An account that was removed, with all its records. */
export type SignOut = {kind: 'sign-out'} & Account;

export type RecordChange = RecordPut | RecordRemoval | SignOut;

const accountSection = 'Account';

/** Fields that describe the secret. If the secret changes, they are written with it, even if their values are the same. */
const fieldsOfSecret = [
	'target', 'cached_at', 'expires_on', 'extended_expires_on', 'refresh_on', 'token_type', 'key_id', 'userAssertionHash', 'family_id',
];

/** Fields that identify a token, independent of its key. */
const fieldsOfIdentity: readonly MatchField[] = ['home_account_id', 'environment', 'client_id', 'realm', 'target', 'family_id', 'secret'];

/**
 * Compares two texts of a program's view of the cache. Top-level members that are objects are sections, and objects in a section are records.
 * Anything else is ignored.
 *
 * @param before Well-formed JSON, as is `after`.
 */
export function diffRecords(before: string, after: string): RecordChange[] {
	return typed(() => differencesOf(before, after));
}

function differencesOf(before: string, after: string): RecordChange[] {
	if (before === after) {
		return [];
	}

	const [old, current] = [parseSections(before), parseSections(after)];
	const knownAccounts = knownAccountsOf(old);
	const currentAccounts = knownAccountsOf(current);
	const signOuts = signOutsBetween(old, current);
	const signedOut = new Set(signOuts.map(account => accountName(account)));
	const changes: RecordChange[] = [];
	for (const [section, records] of current) {
		const oldRecords = old.get(section) ?? new Map<string, unknown>();
		for (const [key, record] of records) {
			const oldRecord = oldRecords.get(key);
			if (isObject(record) && !(isObject(oldRecord) && isSame(oldRecord, record))) {
				const account = knownAccounts.get(homeAccountIdOf(record));
				changes.push({
					kind: 'put',
					section,
					key,
					before: isObject(oldRecord) ? oldRecord : undefined,
					after: record,
					account,
					isSignIn: !account && currentAccounts.has(homeAccountIdOf(record)),
					hadAccounts: currentAccounts.size > 0,
				});
			}
		}
	}

	for (const [section, records] of old) {
		for (const [key, record] of records) {
			if (!current.get(section)?.has(key) && !(isObject(record) && signedOut.has(accountNameOf(record)))) {
				changes.push({
					kind: 'remove', section, key, before: record,
				});
			}
		}
	}

	return [...changes, ...signOuts];
}

/** A key that is equal for two changes of the same record or account: the later change replaces the earlier one. */
export function subjectOf(change: RecordChange): string {
	return JSON.stringify(change.kind === 'sign-out' ? [change.homeAccountId, change.environment] : [change.section, change.key, 'record']);
}

/** Adds changes to earlier ones, by {@link subjectOf}. A later change of the same record replaces an earlier one, and a sign-out ends what the account had. */
export function addChanges(earlier: Map<string, RecordChange>, later: readonly RecordChange[]): void {
	for (const change of later) {
		const subject = subjectOf(change);
		const joined = joinChanges(earlier.get(subject), change);
		// The order is that of the changes.
		earlier.delete(subject);
		earlier.set(subject, joined);
	}

	const signedOut = new Set(later.filter(change => change.kind === 'sign-out').map(signOut => accountName(signOut)));
	if (signedOut.size > 0) {
		for (const [subject, change] of earlier) {
			if (change.kind === 'put' && signedOut.has(accountNameOf(change.after))) {
				earlier.delete(subject);
			}
		}
	}
}

/** The accounts that these changes sign out, and do not sign in again. */
export function signedOutBy(changes: readonly RecordChange[]): string[] {
	const written = new Set(changes.filter(change => change.kind === 'put').map(({after}) => homeAccountIdOf(after)));
	return changes.filter(change => change.kind === 'sign-out').map(({homeAccountId}) => homeAccountId).filter(homeAccountId => !written.has(homeAccountId));
}

/** Joins two changes of the same record into one. */
export function joinChanges(earlier: RecordChange | undefined, later: RecordChange): RecordChange {
	if (later.kind === 'put' && earlier?.kind === 'put') {
		return {...later, before: earlier.before, account: earlier.account};
	}

	return later;
}

/**
 * The edits that merge changes into a cache that other programs may have changed: one cache change for each account that must still exist,
 * and one for the rest.
 */
export function cacheChangesOf(changes: readonly RecordChange[]): Array<CacheChange & {changes: readonly RecordChange[]}> {
	return typed(() => groupedEditsOf(changes));
}

function groupedEditsOf(changes: readonly RecordChange[]): Array<CacheChange & {changes: readonly RecordChange[]}> {
	const byAccount = new Map<string | undefined, {account: KnownAccount | undefined; own: RecordChange[]}>();
	for (const change of changes) {
		const account = change.kind === 'put' ? change.account : undefined;
		const group = byAccount.get(account?.homeAccountId) ?? {account, own: []};
		byAccount.set(account?.homeAccountId, group);
		group.own.push(change);
	}

	return [...byAccount.values()].map(({account, own}) => ({
		// Of several edits that match a record, the first one is applied: an earlier sign-out must not remove what is written.
		edits: [...own.filter(({kind}) => kind === 'put'), ...own.filter(({kind}) => kind !== 'put')].flatMap(change => editsOf(change)),
		changes: own,
		...(account && {requiredAccount: account}),
	}));
}

/**
 * Applies changes to a cache text, to give the text that the cache will have once they are written.
 *
 * @param text Well-formed JSON, or empty.
 */
export function applyChanges(text: string, changes: Iterable<RecordChange>): string {
	return typed(() => appliedTo(text, changes));
}

function appliedTo(text: string, changes: Iterable<RecordChange>): string {
	const root = parseObject(text);
	const accounts = accountsIn(root);
	const all = [...changes];
	const signedOut = new Set(all.filter(change => change.kind === 'sign-out').map(signOut => accountName(signOut)));
	if (signedOut.size > 0) {
		for (const [name, section] of Object.entries(root)) {
			if (isObject(section)) {
				setMember(root, name, Object.fromEntries(Object.entries(section).filter(([, record]) => !(isObject(record) && signedOut.has(accountNameOf(record))))));
			}
		}
	}

	// Copied once, because there may be many changes.
	const sections = new Map<string, Record<string, unknown>>();
	for (const change of all) {
		if (change.kind === 'sign-out' || (change.kind === 'put' && isSignedOut(change, accounts))) {
			continue;
		}

		let records = sections.get(change.section);
		if (!records) {
			const section = memberOf(root, change.section);
			records = isObject(section) ? {...section} : {};
			sections.set(change.section, records);
			setMember(root, change.section, records);
		}

		if (change.kind === 'put') {
			const {before = {}, after} = change;
			const record = memberOf(records, change.key);
			const kept = isObject(record) ? Object.entries(record).filter(([name]) => !Object.hasOwn(before, name)) : [];
			setMember(records, change.key, Object.fromEntries([...kept, ...Object.entries(after)]));
		} else {
			Reflect.deleteProperty(records, change.key);
		}
	}

	return JSON.stringify(root);
}

/**
 * The changes that another program has undone by writing an older version of the cache: the record is missing, or again as it was before.
 * Changes whose account is gone are left out, and so are records that were changed to something else.
 *
 * @param text Well-formed JSON, or empty.
 * @param versionsOf What the record was before the change, and before earlier ones. Default: before the change.
 */
export function undoneChanges(text: string, changes: readonly RecordChange[], versionsOf: (change: RecordPut) => readonly JsonObject[] = versionBefore): RecordChange[] {
	return typed(() => undoneIn(text, changes, versionsOf));
}

function versionBefore({before}: RecordPut): JsonObject[] {
	return before ? [before] : [];
}

function undoneIn(text: string, changes: readonly RecordChange[], versionsOf: (change: RecordPut) => readonly JsonObject[]): RecordChange[] {
	const root = parseObject(text);
	const accounts = accountsIn(root);
	return changes.filter(change => {
		if (change.kind !== 'put') {
			return false;
		}

		// Not every record has an account: an application that has no user has tokens, too.
		const isSignedOut = change.account || change.isSignIn ? !accounts.has(homeAccountIdOf(change.after)) : change.hadAccounts && accounts.size === 0;
		if (isSignedOut) {
			return false;
		}

		const section = memberOf(root, change.section);
		const record = isObject(section) ? memberOf(section, change.key) : undefined;
		return record === undefined || (isObject(record) && versionsOf(change).some(version => isVersion(record, version, change.after)));
	});
}

/** Whether a record has the fields of an earlier version that a change has replaced. */
function isVersion(record: JsonObject, version: JsonObject, after: JsonObject): boolean {
	const changed = changedFields(version, after);
	return changed.length > 0 && changed.every(field => isSame(memberOf(record, field), memberOf(version, field)));
}

/** Values are compared and written by recursion. No token cache is nested so deeply that the stack ends. */
export function typed<Result>(work: () => Result): Result {
	try {
		return work();
	} catch (error) {
		if (error instanceof RangeError) {
			throw new StoreError('STC_CACHE_CORRUPT', 'The cache is nested too deeply, as no token cache is. Move it away and sign in again.', {op: 'parse', store: 'plaintext'});
		}

		throw error;
	}
}

function editsOf(change: RecordChange): readonly RecordEdit[] {
	switch (change.kind) {
		case 'put': {
			return [putEdit(change)];
		}

		case 'remove': {
			return [removeEdit(change)];
		}

		case 'sign-out': {
			return editsOfSignOut(change.homeAccountId, [change.environment]).edits;
		}
	}
}

function putEdit({section, key, before = {}, after}: RecordPut): RecordEdit {
	const changed = changedFields(before, after);
	const written = new Set(changed.includes('secret') ? [...changed, ...fieldsOfSecret] : changed);
	const fields = Object.entries(after).map(([name, value]): [string, string] => [name, JSON.stringify(value)]);
	return {
		section,
		action: 'put',
		key,
		set: Object.fromEntries(fields.filter(([name]) => written.has(name))),
		// If another program removed the record meanwhile, the whole record is added.
		fill: Object.fromEntries(fields.filter(([name]) => !written.has(name))),
		unset: [...written].filter(name => !Object.hasOwn(after, name)),
	};
}

function removeEdit({section, key, before}: RecordRemoval): RecordEdit {
	const secret = isObject(before) ? textOf(before, 'secret') : '';
	return isObject(before) && secret !== ''
		// A token that another program has renewed meanwhile must not be removed.
		? {section, action: 'remove', match: Object.fromEntries(fieldsOfIdentity.map(field => [field, [textOf(before, field)]]))}
		: {section, action: 'remove', key};
}

function changedFields(before: JsonObject, after: JsonObject): string[] {
	return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(name => !isSame(memberOf(before, name), memberOf(after, name)));
}

type Sections = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

function signOutsBetween(old: Sections, current: Sections): SignOut[] {
	const left = new Set(accountsOf(current).map(account => accountName(account)));
	const gone = new Map(accountsOf(old).map(account => [accountName(account), account]));
	return [...gone].filter(([name]) => !left.has(name)).map(([, account]) => ({kind: 'sign-out', ...account}));
}

function knownAccountsOf(sections: Sections): Map<string, KnownAccount> {
	const known = new Map<string, KnownAccount>();
	for (const {homeAccountId, environment} of accountsOf(sections)) {
		if (homeAccountId !== '') {
			known.set(homeAccountId, {homeAccountId, environments: [...known.get(homeAccountId)?.environments ?? [], environment]});
		}
	}

	return known;
}

function accountsOf(sections: Sections): Account[] {
	return [...sections.get(accountSection)?.values() ?? []].filter(record => isObject(record)).map(record => ({
		homeAccountId: homeAccountIdOf(record), environment: textOf(record, 'environment'),
	}));
}

/** The accounts of a cache text, by home account ID. */
export function accountsOfText(text: string): Set<string> {
	return accountsIn(parseObject(text));
}

/** Whether the cache text has, under this key, a record with this secret. */
export function hasSecret(text: string, {section, key}: {section: string; key: string}, secret: string): boolean {
	const records = memberOf(parseObject(text), section);
	const record = isObject(records) ? memberOf(records, key) : undefined;
	return isObject(record) && textOf(record, 'secret') === secret;
}

function accountsIn(root: JsonObject): Set<string> {
	const section = memberOf(root, accountSection);
	const records = isObject(section) ? Object.values(section) : [];
	return new Set(records.filter(record => isObject(record)).map(record => homeAccountIdOf(record)));
}

function accountName({homeAccountId, environment}: Account): string {
	return `${homeAccountId} ${environment}`.toLowerCase();
}

function accountNameOf(record: JsonObject): string {
	return accountName({homeAccountId: homeAccountIdOf(record), environment: textOf(record, 'environment')});
}

export function homeAccountIdOf(record: JsonObject): string {
	return textOf(record, 'home_account_id');
}

function isSignedOut({account}: RecordPut, accounts: ReadonlySet<string>): boolean {
	return account !== undefined && !accounts.has(account.homeAccountId);
}

function parseSections(text: string): Sections {
	const sections = new Map<string, ReadonlyMap<string, unknown>>();
	for (const [name, section] of Object.entries(parseObject(text))) {
		if (isObject(section)) {
			sections.set(name, new Map(Object.entries(section)));
		}
	}

	return sections;
}

function parseObject(text: string): Record<string, unknown> {
	const root = text.trim() === '' ? {} : JSON.parse(text) as unknown;
	return isObject(root) ? root : {};
}

/** Own members only: a name may be that of a member of Object.prototype. */
function memberOf(object: JsonObject, name: string): unknown {
	return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Like `JSON.parse`, treats `__proto__` as an ordinary name. */
function setMember(object: Record<string, unknown>, name: string, value: unknown): void {
	Object.defineProperty(object, name, {
		value, writable: true, enumerable: true, configurable: true,
	});
}

function textOf(record: JsonObject, field: string): string {
	const value = memberOf(record, field);
	return typeof value === 'string' ? value : '';
}

/** Compares two JSON values. The order of fields does not matter. */
function isSame(a: unknown, b: unknown): boolean {
	if (isObject(a) && isObject(b)) {
		const names = Object.keys(a);
		return names.length === Object.keys(b).length && names.every(name => Object.hasOwn(b, name) && isSame(a[name], b[name]));
	}

	return a === b || JSON.stringify(a) === JSON.stringify(b);
}
