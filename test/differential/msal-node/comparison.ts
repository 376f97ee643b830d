/**
 * Compares MSAL for Node's acquireTokenSilent with our credential, which has an authentication record of the same
 * account.
 */

import {
	mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {isDeepStrictEqual} from 'node:util';
import type {Agent} from 'undici';
import {SharedTokenCacheCredential} from '../../../dist/index.js';
import {loopbackDispatcher} from '../../helpers/authority/dispatcher.js';
import {type EntraServer, startEntraServer} from '../../helpers/authority/entra-server.js';
import {peersFolder} from '../../helpers/peers/peers.js';
import {loopbackNetwork} from '../../peers/loopback-network.mjs';
import type * as msal from '../../peers/node_modules/@azure/msal-node/types/index.js';
import {acceptTokens, granted, rotated} from '../authority.js';
import {
	cacheText, type CacheRecord, chinaHosts, governmentHosts, ourClient, publicHosts, type WrittenCache, writtenCache,
} from '../caches.js';
import type {Comparison, Outcomes} from '../comparison.js';
import type {Random} from '../random.js';
import {
	type Case, keyOf, makeCase, makePlainCase, smallerCases,
} from './cases.js';
import {
	type CallOutcome, normalised, normaliserNames, type Outcome, predict,
} from './model.js';
import {type RuleName, ruleNames} from './rules.js';

type CacheKind = 'nocae' | 'cae';

export class MsalNodeComparison implements Comparison<Case, Outcome, RuleName> {
	static async start(): Promise<MsalNodeComparison> {
		return new MsalNodeComparison(await startEntraServer({rotation: 'off', extraNames: [...publicHosts, ...chinaHosts, ...governmentHosts]}));
	}

	readonly peerName = 'MSAL for Node';
	readonly rules = ruleNames;
	#serial = 0;
	readonly #needed = new Map<string, number>(normaliserNames.map(name => [name, 0]));
	readonly #msal = createRequire(peersFolder)('@azure/msal-node') as typeof msal;
	readonly #folder = mkdtempSync(join(tmpdir(), 'stc-differential-'));
	readonly #server: EntraServer;
	readonly #dispatcher: Agent;
	readonly #network: ReturnType<typeof loopbackNetwork>;

	private constructor(server: EntraServer) {
		this.#server = server;
		this.#dispatcher = loopbackDispatcher(server);
		this.#network = loopbackNetwork(server);
		// No keyring: the cache is a plaintext file.
		process.env['DBUS_SESSION_BUS_ADDRESS'] = `unix:path=${join(this.#folder, 'no-bus')}`;
	}

	versions(): Readonly<Record<string, string>> {
		const {version} = JSON.parse(readFileSync(join(peersFolder, 'node_modules', '@azure', 'msal-node', 'package.json'), 'utf8')) as {version: string};
		return {'@azure/msal-node': version};
	}

	makeCase(random: Random, isPlain: boolean): Case {
		return isPlain ? makePlainCase(random) : makeCase(random);
	}

	isPlain({isPlain}: Case): boolean {
		return isPlain;
	}

	predict(testCase: Case, isOn: (rule: RuleName) => boolean): Outcome {
		return predict(testCase, isOn);
	}

	describe({calls}: Outcome): string {
		return calls.map(each => Object.keys(each).join(' ')).join('; ');
	}

	smallerCases(testCase: Case): Iterable<Case> {
		return smallerCases(testCase);
	}

	cacheText({cache, caeCache}: Case): string {
		return [cache, caeCache].map(each => cacheText(each, 0, keyOf)).join('\nCAE: ');
	}

	normalisers(): ReadonlyMap<string, number> {
		return this.#needed;
	}

	async ask(testCase: Case): Promise<Outcomes<Outcome>> {
		const peer = await this.#run(testCase, async texts => this.#askMsal(testCase, texts));
		const ours = await this.#run(testCase, async texts => this.#askOurs(testCase, texts));
		if (testCase.isPlain) {
			for (const name of normaliserNames) {
				const [left, right] = [peer, ours].map(({written}) => written.map(each => normalised(each, normaliserNames.filter(other => other !== name))));
				this.#needed.set(name, this.#needed.get(name)! + (isDeepStrictEqual(left, right) ? 0 : 1));
			}
		}

		return {peer: peer.outcome, ours: ours.outcome};
	}

	async close(): Promise<void> {
		await Promise.all([this.#dispatcher.close(), this.#network.close()]);
		await this.#server.close();
		rmSync(this.#folder, {recursive: true});
	}

	/** @param ask Makes all calls, and returns their outcomes and the caches afterwards. */
	async #run(testCase: Case, ask: (texts: Record<CacheKind, string>) => Promise<{calls: CallOutcome[]; texts: Record<CacheKind, string>}>): Promise<{outcome: Outcome; written: WrittenCache[]}> {
		const nowSec = Math.floor(Date.now() / 1000);
		const {cache, caeCache, isRotating, isPlain} = testCase;
		const tokens = [cache, caeCache].flatMap(({RefreshToken: records}) => records as CacheRecord[]).map(record => {
			const homeAccountId = record['home_account_id'] as string;
			return {secret: record['secret'] as string, homeAccountId, username: testCase.names[homeAccountId]!};
		});
		acceptTokens(this.#server, tokens, sent => isRotating ? rotated(sent) : granted(sent));
		const {calls, texts} = await ask({nocae: cacheText(cache, nowSec, keyOf), cae: cacheText(caeCache, nowSec, keyOf)});
		const written = [texts.nocae, texts.cae].map(text => writtenCache(text, nowSec));
		return {outcome: {calls, files: isPlain ? written.map(each => normalised(each)) : []}, written};
	}

	async #askMsal({authorityHost, account, calls}: Case, given: Readonly<Record<CacheKind, string>>): Promise<{calls: CallOutcome[]; texts: Record<CacheKind, string>}> {
		const texts = {...given};
		const apps = Object.fromEntries((['nocae', 'cae'] as const).map(kind => [kind, new this.#msal.PublicClientApplication({
			auth: {clientId: ourClient, authority: `https://${authorityHost}/organizations`, ...(kind === 'cae' && {clientCapabilities: ['CP1']})},
			cache: {
				cachePlugin: {
					async beforeCacheAccess({tokenCache}) {
						tokenCache.deserialize(texts[kind]);
					},
					async afterCacheAccess({cacheHasChanged, tokenCache}) {
						if (cacheHasChanged) {
							texts[kind] = tokenCache.serialize();
						}
					},
				},
			},
			system: {networkClient: this.#network as unknown as msal.INetworkModule},
		})])) as Record<CacheKind, msal.PublicClientApplication>;
		const outcomes: CallOutcome[] = [];
		for (const {scopes, enableCae} of calls) {
			// Each call starts from what the last one left.
			outcomes.push(await this.#outcome(async () => {
				try {
					const {accessToken} = await apps[enableCae ? 'cae' : 'nocae'].acquireTokenSilent({account, scopes});
					return accessToken;
				} catch (error) {
					if ((error as {errorCode?: string}).errorCode === 'no_tokens_found') {
						return undefined;
					}

					throw error;
				}
			}));
		}

		return {calls: outcomes, texts};
	}

	async #askOurs({authorityHost, account, calls}: Case, given: Readonly<Record<CacheKind, string>>): Promise<{calls: CallOutcome[]; texts: Record<CacheKind, string>}> {
		const home = join(this.#folder, String(this.#serial++));
		const fileOf = (kind: CacheKind) => join(home, '.IdentityService', `msal.cache.${kind}`);
		mkdirSync(join(home, '.IdentityService'), {recursive: true, mode: 0o700});
		for (const kind of ['nocae', 'cae'] as const) {
			writeFileSync(fileOf(kind), given[kind], {mode: 0o600});
		}

		process.env['HOME'] = home;
		const {homeAccountId, tenantId, username} = account;
		const credential = new SharedTokenCacheCredential({
			authenticationRecord: {
				authority: authorityHost, homeAccountId, tenantId, username, clientId: ourClient,
			},
			dispatcher: this.#dispatcher,
			retryOptions: {maxRetries: 0},
			// Both backends, alternately.
			...(this.#serial % 2 === 0 && {useNativeAddon: false}),
		});
		const outcomes: CallOutcome[] = [];
		try {
			for (const {scopes, enableCae = false} of calls) {
				// Each call starts from what the last one left.
				outcomes.push(await this.#outcome(async () => {
					try {
						const {token} = await credential.getToken(scopes, {enableCae});
						return token;
					} catch (error) {
						if ((error as Error).name === 'CredentialUnavailableError') {
							return undefined;
						}

						throw error;
					}
				}));
			}

			await credential.close();
			return {calls: outcomes, texts: {nocae: readFileSync(fileOf('nocae'), 'utf8'), cae: readFileSync(fileOf('cae'), 'utf8')}};
		} finally {
			await credential.close();
			rmSync(home, {recursive: true});
		}
	}

	/** @param acquire Returns an access token, or `undefined` if the user must sign in. */
	async #outcome(acquire: () => Promise<string | undefined>): Promise<CallOutcome> {
		this.#server.requests.length = 0;
		const token = await acquire();
		const redeemed = this.#server.tokenRequests.at(-1)?.form.get('refresh_token') ?? undefined;
		if (token === undefined) {
			return {nothing: true};
		}

		return redeemed === undefined ? {cached: token} : {redeemed};
	}
}
