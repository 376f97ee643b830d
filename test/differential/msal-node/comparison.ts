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
import type {Agent} from 'undici';
import {SharedTokenCacheCredential} from '../../../dist/index.js';
import {loopbackDispatcher} from '../../helpers/authority/dispatcher.js';
import {type EntraServer, startEntraServer} from '../../helpers/authority/entra-server.js';
import {peersFolder} from '../../helpers/peers/peers.js';
import {loopbackNetwork} from '../../peers/loopback-network.mjs';
import type * as msal from '../../peers/node_modules/@azure/msal-node/types/index.js';
import {
	cacheText, chinaHosts, governmentHosts, ourClient, publicHosts,
} from '../caches.js';
import type {Comparison, Outcomes} from '../comparison.js';
import type {Random} from '../random.js';
import {
	type Case, keyOf, makeCase, smallerCases,
} from './cases.js';
import {type Outcome, predict} from './model.js';
import {type RuleName, ruleNames} from './rules.js';

export class MsalNodeComparison implements Comparison<Case, Outcome, RuleName> {
	static async start(): Promise<MsalNodeComparison> {
		return new MsalNodeComparison(await startEntraServer({rotation: 'off', extraNames: [...publicHosts, ...chinaHosts, ...governmentHosts]}));
	}

	readonly peerName = 'MSAL for Node';
	readonly rules = ruleNames;
	#serial = 0;
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

	makeCase(random: Random): Case {
		return makeCase(random);
	}

	predict(testCase: Case, isOn: (rule: RuleName) => boolean): Outcome {
		return predict(testCase, isOn);
	}

	describe(outcome: Outcome): string {
		return Object.keys(outcome).join(' ');
	}

	smallerCases(testCase: Case): Iterable<Case> {
		return smallerCases(testCase);
	}

	cacheText({cache}: Case): string {
		return cacheText(cache, 0, keyOf);
	}

	async ask(testCase: Case): Promise<Outcomes<Outcome>> {
		const {cache, account} = testCase;
		const [uid = '', utid = ''] = account.homeAccountId.split('.');
		this.#server.refreshTokens.clear();
		for (const record of cache.RefreshToken) {
			this.#server.refreshTokens.set((record as {secret: string}).secret, {uid, utid, username: account.username});
		}

		const text = cacheText(cache, Math.floor(Date.now() / 1000), keyOf);
		return {peer: await this.#askMsal(testCase, text), ours: await this.#askOurs(testCase, text)};
	}

	async close(): Promise<void> {
		await Promise.all([this.#dispatcher.close(), this.#network.close()]);
		await this.#server.close();
		rmSync(this.#folder, {recursive: true});
	}

	async #askMsal({authorityHost, account, scopes}: Case, text: string): Promise<Outcome> {
		const app = new this.#msal.PublicClientApplication({
			auth: {clientId: ourClient, authority: `https://${authorityHost}/organizations`},
			cache: {
				cachePlugin: {
					async beforeCacheAccess({tokenCache}) {
						tokenCache.deserialize(text);
					},
					async afterCacheAccess() {
						// Its writes are not compared.
					},
				},
			},
			system: {networkClient: this.#network as unknown as msal.INetworkModule},
		});
		return this.#outcome(async () => {
			try {
				const {accessToken} = await app.acquireTokenSilent({account, scopes});
				return accessToken;
			} catch (error) {
				if ((error as {errorCode?: string}).errorCode === 'no_tokens_found') {
					return undefined;
				}

				throw error;
			}
		});
	}

	async #askOurs({authorityHost, account, scopes}: Case, text: string): Promise<Outcome> {
		const home = join(this.#folder, String(this.#serial++));
		mkdirSync(join(home, '.IdentityService'), {recursive: true, mode: 0o700});
		writeFileSync(join(home, '.IdentityService', 'msal.cache.nocae'), text, {mode: 0o600});
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
		try {
			return await this.#outcome(async () => {
				try {
					const {token} = await credential.getToken(scopes);
					return token;
				} catch (error) {
					if ((error as Error).name === 'CredentialUnavailableError') {
						return undefined;
					}

					throw error;
				}
			});
		} finally {
			await credential.close();
			rmSync(home, {recursive: true});
		}
	}

	/** @param acquire Returns an access token, or `undefined` if the user must sign in. */
	async #outcome(acquire: () => Promise<string | undefined>): Promise<Outcome> {
		this.#server.grants.length = 0;
		const token = await acquire();
		const grant = this.#server.grants.at(-1);
		if (token === undefined) {
			return {nothing: true};
		}

		return grant ? {redeemed: grant.redeemed} : {cached: token};
	}
}
