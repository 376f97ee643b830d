/**
 * A process of the sign-out torture. The first line of standard input is a {@link WorkerJob}. It answers each line with one line; all lines
 * are JSON.
 *
 * - `credential` requests tokens for all users all the time, of both kinds and for new scopes, so that most requests are grants.
 * - `withCache` adds a token to each account that it finds, and takes its time.
 * - `signOut` signs out when it is told to.
 * - `look` says what is in the caches.
 */

import process from 'node:process';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
import {SharedCache} from '../../dist/cache/shared-cache.js';
import {chooseCache} from '../../dist/cache-api/cache-options.js';
import {SharedTokenCache, SharedTokenCacheCredential} from '../../dist/index.js';
import {loopbackDispatcher} from '../helpers/authority/dispatcher.js';

export type WorkerJob = {
	role: 'credential' | 'withCache' | 'signOut' | 'look';
	name: string;
	users: ReadonlyArray<{username: string; homeAccountId: string}>;
	server: {port: number; ca: string};
	useNativeAddon: boolean;
	lockTimeoutInMs: number;
};

export type WorkerCommand =
	| {do: 'signOut'; homeAccountId: string}
	| {do: 'signIn'; isCae: boolean; sections: Record<string, Record<string, Record<string, unknown>>>}
	| {do: 'look'}
	| {do: 'count'};

/** What a cache has of each account: whether its record is there, and the secrets of its tokens. */
export type Found = Array<{source: string; homeAccountId: string; isListed: boolean; secrets: string[]}>;

const allowed = {unsafeAllowUnencryptedStorage: true};
const lines = createInterface({input: process.stdin})[Symbol.asyncIterator]() as AsyncIterator<string, undefined>;
const next = async <Value>(): Promise<Value | undefined> => {
	const {value, done} = await lines.next();
	return done ? undefined : JSON.parse(value) as Value;
};

const answer = (value: unknown) => {
	process.stdout.write(`${JSON.stringify(value)}\n`);
};

const {role, name, users, server, useNativeAddon, lockTimeoutInMs} = (await next<WorkerJob>())!;
const options = {useNativeAddon, lockTimeoutInMs, tokenCachePersistenceOptions: allowed};
let count = 0;

/** Without end: the process is killed. */
async function requestTokens(credentials: readonly SharedTokenCacheCredential[]): Promise<never> {
	for (;;) {
		const credential = credentials[Math.floor(Math.random() * credentials.length)]!;
		const scope = `https://${name}-${Math.floor(Math.random() * 1000)}.example/.default`;
		try {
			await credential.getToken(scope, {enableCae: Math.random() < 0.5});
			count++;
		} catch {
			// Nobody is signed in now.
			await sleep(20);
		}

		await sleep(Math.random() * 30);
	}
}

/** Without end: the process is killed. */
async function addTokens(): Promise<never> {
	const caches = [false, true].map(enableCae => new SharedTokenCache({...options, enableCae}));
	for (;;) {
		const cache = caches[Math.floor(Math.random() * caches.length)]!;
		await cache.withCache(async records => {
			await sleep(Math.random() * 30);
			for (const {homeAccountId} of users) {
				const account = Object.values(records['Account'] ?? {}).find(record => record['home_account_id'] === homeAccountId);
				if (account) {
					count++;
					records['AccessToken'] = {
						...records['AccessToken'],
						[`${name}-${count % 5}-${homeAccountId}`]: {
							home_account_id: homeAccountId, environment: account['environment'], client_id: name, credential_type: 'AccessToken', secret: `FAKE-with-cache-${name}-${count}`,
						},
					};
				}
			}
		}).catch(() => undefined);
		await sleep(Math.random() * 100);
	}
}

async function look(): Promise<Found> {
	const found: Found = [];
	for (const enableCae of [false, true]) {
		const {primary, extra, settings} = chooseCache({...options, enableCae});
		const cache = new SharedCache(settings);
		for (const source of [...primary.nocae, ...primary.cae, ...extra]) {
			const read = await cache.readText(source).catch(() => null);
			const sections = Object.entries(JSON.parse(read?.text || '{}') as Record<string, Record<string, Record<string, unknown>>>);
			for (const {homeAccountId} of users) {
				const own = (section: string) => Object.values(Object.fromEntries(sections)[section] ?? {}).filter(record => record['home_account_id'] === homeAccountId);
				const secrets = ['AccessToken', 'RefreshToken'].flatMap(section => own(section)).map(({secret}) => String(secret));
				const isListed = own('Account').length > 0;
				if ((isListed || secrets.length > 0) && !found.some(each => each.source === source.label && each.homeAccountId === homeAccountId)) {
					found.push({
						source: source.label, homeAccountId, isListed, secrets,
					});
				}
			}
		}
	}

	return found;
}

const actions = {
	signOut: async ({homeAccountId}: Extract<WorkerCommand, {do: 'signOut'}>) => new SharedTokenCache(options).removeAccount({homeAccountId}),
	async signIn({isCae, sections}: Extract<WorkerCommand, {do: 'signIn'}>) {
		await new SharedTokenCache({...options, enableCae: isCae}).withCache(records => {
			for (const [section, own] of Object.entries(sections)) {
				records[section] = {...records[section], ...own};
			}
		});
		return 'signed in';
	},
	look,
	count: async () => count,
};

if (role === 'credential') {
	const dispatcher = loopbackDispatcher(server);
	const credentials = users.map(({username}) => new SharedTokenCacheCredential({
		...options, username, dispatcher, cacheCheckIntervalInMs: 50,
	}));
	// An error ends the process.
	void Promise.all(Array.from({length: 8}, async () => requestTokens(credentials)));
} else if (role === 'withCache') {
	// eslint-disable-next-line unicorn/prefer-top-level-await -- it runs beside the commands.
	void addTokens();
}

answer('ready');
for (;;) {
	const command = await next<WorkerCommand>();
	if (!command) {
		break;
	}

	answer(await (actions[command.do] as (command: WorkerCommand) => Promise<unknown>)(command).catch((error: unknown) => ({error: String(error)})));
}

process.kill(process.pid, 'SIGKILL');
