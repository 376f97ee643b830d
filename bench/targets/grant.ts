/** P7: one grant over connections that are kept alive. */

import {cpSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {askOnce} from '../processes.js';
import {type Outcome, pairedRatio, type Result} from '../results.js';
import {summarize} from '../statistics.mjs';
import {startTokenEndpoint} from '../token-endpoint.js';
import {jobOf, peerNames, type Prepared} from './prepared.js';

type Samples = Record<'bare' | 'redeem' | 'credential' | 'msalNode', number[][]>;

export async function measureGrant({directory, caches: {S: cache}}: Prepared): Promise<Outcome> {
	// Grants are written back, so each library has its own cache.
	const home = join(directory, 'grant');
	const peerHome = join(directory, 'grant-peer');
	for (const copy of [home, peerHome]) {
		cpSync(cache.home, copy, {recursive: true});
	}

	// MSAL writes app metadata under this alias of the host, and refuses to choose between two.
	const environment = 'login.windows.net';
	const peerCachePath = cache.path.replace(cache.home, peerHome);
	writeFileSync(peerCachePath, JSON.stringify({...JSON.parse(readFileSync(peerCachePath, 'utf8')) as object, AppMetadata: {[`appmetadata-${environment}-${cache.query.clientId}`]: {client_id: cache.query.clientId, environment, family_id: '1'}}}));
	const endpoint = await startTokenEndpoint({...jobOf(cache), scope: cache.scope});
	try {
		const {bare, redeem, credential, msalNode} = await askOnce<Samples>('grant.mjs', home, {
			...jobOf(cache), server: endpoint.server, refreshToken: `1.FAKE${'x'.repeat(1150)}`, peerCachePath, rounds: 120, callsPerRound: 10,
		});
		const medians = (samples: number[][]) => samples.map(round => summarize(round).median);
		const bareSummary = summarize(bare.flat());
		const row = (what: string, samples: number[][], peer: {name: string; samples: number[][]}): Result => ({
			id: 'P7',
			what,
			unit: 'ms',
			ours: summarize(samples.flat()),
			peer: {name: peer.name, summary: peer.samples === bare ? bareSummary : summarize(peer.samples.flat())},
			ratio: pairedRatio(medians(samples), medians(peer.samples)),
			direction: 'cost',
		});
		const barePost = {name: 'bare undici POST', samples: bare};
		return {
			results: [
				{...row('one grant, kept-alive loopback TLS', redeem, barePost), target: {on: 'ratio', bound: 1.25}},
				row('getToken with a grant: cache, lease, grant, response; write-back in the background', credential, barePost),
				row('getToken with a grant: cache, lease, grant, response; write-back in the background', credential, {name: `${peerNames['msal-node']}, forceRefresh`, samples: msalNode}),
			],
		};
	} finally {
		await endpoint.close();
	}
}
