/** The caches of the comparisons: their records and their text. */

export type Json = null | boolean | number | string | Json[] | {[name: string]: Json};
export type CacheRecord = Record<string, Json>;
export type SectionName = 'Account' | 'RefreshToken' | 'AccessToken' | 'AppMetadata';

export const openIdScopes = ['offline_access', 'openid', 'profile'] as const;

/** Records in the file's order. A text is a malformed record. */
export type CacheContent = Record<SectionName, Array<CacheRecord | string>>;

/** Azure CLI. Source: azure-identity for Python, `_constants.py`, DEVELOPER_SIGN_ON_CLIENT_ID. */
export const ourClient = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
export const otherClient = 'aebc6443-996d-45c2-90f0-388ff96faa56';

export const publicHosts = ['login.microsoftonline.com', 'login.windows.net', 'login.microsoft.com', 'sts.windows.net'] as const;
export const chinaHosts = ['login.partner.microsoftonline.cn', 'login.chinacloudapi.cn'] as const;
export const governmentHosts = ['login.microsoftonline.us', 'login.usgovcloudapi.net'] as const;
/** Not one of Microsoft's hosts. It has no other alias. */
export const unknownHost = 'login.contoso.example';

export const tenants = ['aaaaaaaa-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000002', 'cccccccc-0000-4000-8000-000000000003'] as const;
/** Home tenant of personal accounts. Source: Microsoft identity platform, "ID token claims", `tid`. */
export const consumers = '9188040d-6c67-4c5b-b112-36a304b66dad';
export const userNames = ['ann@contoso.com', 'bob@fabrikam.example', 'jörg@contoso.com', '李雷@例え.jp', 'Carol@Contoso.com', 'dave+"x"@contoso.com'] as const;
export const scopes = ['https://storage.example/.default', 'https://vault.example/.default', 'https://graph.example/User.Read', 'api://one/Read.All'] as const;

/** Written into a cache as the decimal text of the current time plus this number of seconds. */
export function inSeconds(seconds: number): string {
	return `@${seconds}`;
}

export type KeyOf = (section: SectionName, record: CacheRecord | string, index: number) => string;

export function foreignKey(section: SectionName, _record: unknown, index: number): string {
	return `${section.toLowerCase()}-${index}`;
}

/**
 * The file's text, with times relative to now. @param keyOf Returns the key of a record. Default: a key that no library
 * creates.
 */
export function cacheText(cache: CacheContent | string, nowSec: number, keyOf: KeyOf = foreignKey): string {
	if (typeof cache === 'string') {
		return cache;
	}

	const sections = Object.entries(cache).map(([name, records]) => [name, Object.fromEntries(records.map((record, index) => [keyOf(name as SectionName, record, index), record]))]);
	return JSON.stringify(Object.fromEntries(sections), (_name, value: Json) => typeof value === 'string' && /^@-?\d+$/.test(value) ? String(nowSec + Number(value.slice(1))) : value);
}

/** The seconds that {@link inSeconds} wrote, or any other content. */
export function secondsOf(value: Json | undefined): number | undefined {
	return typeof value === 'string' && /^@-?\d+$/.test(value) ? Number(value.slice(1)) : undefined;
}

/** All caches with one record less. */
export function * smallerCaches(cache: CacheContent): Generator<CacheContent> {
	for (const [section, records] of Object.entries(cache) as Array<[SectionName, CacheContent[SectionName]]>) {
		for (const index of records.keys()) {
			yield {...cache, [section]: records.toSpliced(index, 1)};
		}
	}
}

/** The fields of a record that hold Unix seconds. */
const timeFields: ReadonlySet<string> = new Set(['cached_at', 'expires_on', 'extended_expires_on', 'refresh_on', 'last_modification_time']);

/** A cache as written: its records by section and key, without empty sections. `null`: there is no file. A text: the file is no cache. */
export type WrittenCache = Record<string, Record<string, Json>> | string | null;

/**
 * Makes the files of two runs comparable: times become seconds after the start of the run, in steps of a minute.
 *
 * @param nowSec When the run started, Unix seconds.
 */
export function writtenCache(text: string | null, nowSec: number): WrittenCache {
	if (text === null) {
		return null;
	}

	let json: unknown;
	try {
		json = JSON.parse(text, (name, value: unknown) => timeFields.has(name) && typeof value === 'string' && /^\d{9,11}$/.test(value)
			? inSeconds(Math.round((Number(value) - nowSec) / 60) * 60)
			: value);
	} catch {
		return text;
	}

	return typeof json === 'object' && json !== null && !Array.isArray(json)
		? Object.fromEntries(Object.entries(json as Record<string, Record<string, Json>>).filter(([, section]) => Object.keys(section).length > 0))
		: text;
}
