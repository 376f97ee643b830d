/** P8: many processes request the same expired token at the same time. Counts the requests that reach the authority. */

import {spawn} from 'node:child_process';
import {mkdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {performance} from 'node:perf_hooks';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {startEntraServer} from '../../test/helpers/authority/entra-server.js';

export type FleetOutcome = {grants: number; tokens: number; failed: number; elapsedMs: number};

const user = {uid: '11111111-0000-4000-8000-00000000000a', utid: 'aaaaaaaa-0000-4000-8000-0000000000aa', username: 'ann@contoso.com'};
const clientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
const environment = 'login.microsoftonline.com';
const homeAccountId = `${user.uid}.${user.utid}`;
const scope = 'https://vault.azure.net/.default';
const refreshToken = 'fake-refresh-token';

function expiredCache(): string {
	const nowSec = Math.floor(Date.now() / 1000);
	const common = {home_account_id: homeAccountId, environment, client_id: clientId};
	return JSON.stringify({
		Account: {
			[`${homeAccountId}-${environment}-${user.utid}`]: {
				home_account_id: homeAccountId, environment, realm: user.utid, local_account_id: user.uid, username: user.username, authority_type: 'MSSTS',
			},
		},
		IdToken: {},
		AccessToken: {
			[`${homeAccountId}-${environment}-accesstoken-${clientId}-${user.utid}-${scope}--`]: {
				...common, credential_type: 'AccessToken', realm: user.utid, target: scope, secret: 'fake-expired', token_type: 'Bearer', cached_at: String(nowSec - 7200), expires_on: String(nowSec - 3600), extended_expires_on: String(nowSec - 3600),
			},
		},
		RefreshToken: {
			[`${homeAccountId}-${environment}-refreshtoken-1--`]: {
				...common, credential_type: 'RefreshToken', secret: refreshToken, family_id: '1',
			},
		},
		AppMetadata: {
			[`appmetadata-${environment}-${clientId}`]: {client_id: clientId, environment, family_id: '1'},
		},
	});
}

/** @param directory Gets a temporary home directory for the processes. */
export async function runFleet(directory: string, {library, processes, calls}: {library: 'ours' | 'msal-node'; processes: number; calls: number}): Promise<FleetOutcome> {
	const home = join(directory, 'fleet');
	const cachePath = join(home, '.IdentityService', 'msal.cache.nocae');
	mkdirSync(join(home, '.IdentityService'), {recursive: true, mode: 0o700});
	writeFileSync(cachePath, expiredCache(), {mode: 0o600});
	// About as long as the real authority takes.
	const server = await startEntraServer({refreshTokens: {[refreshToken]: user}, delayMs: 150});
	try {
		const members = Array.from({length: processes}, () => startMember(home, {
			library, cachePath, clientId, homeAccountId, scope, calls, server: {port: server.port, ca: server.ca},
		}));
		await Promise.all(members.map(async ({ready}) => ready()));
		const startMs = performance.now();
		const reports = await Promise.all(members.map(async ({go}) => go()));
		const sum = (pick: (report: {tokens: number; failed: number}) => number) => reports.reduce((total, report) => total + pick(report), 0);
		return {
			grants: server.grants.length, tokens: sum(({tokens}) => tokens), failed: sum(({failed}) => failed), elapsedMs: performance.now() - startMs,
		};
	} finally {
		await server.close();
		rmSync(home, {recursive: true, force: true});
	}
}

function startMember(home: string, job: object) {
	const child = spawn(process.execPath, ['--no-warnings', fileURLToPath(new URL('../programs/fleet-member.mjs', import.meta.url))], {
		env: {PATH: process.env['PATH'] ?? '', HOME: home}, stdio: ['pipe', 'pipe', 'inherit'],
	});
	const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
	const next = async (): Promise<string> => {
		const line = await lines.next() as IteratorResult<string, undefined>;
		if (line.done) {
			throw new Error('a process of the fleet ended early');
		}

		return line.value;
	};

	child.stdin.write(`${JSON.stringify(job)}\n`);
	return {
		ready: next,
		async go(): Promise<{tokens: number; failed: number}> {
			child.stdin.write('go\n');
			return JSON.parse(await next()) as {tokens: number; failed: number};
		},
	};
}
