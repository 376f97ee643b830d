// P3 and P6: a fresh process that gets one cached token, as an application would. Argument: a job as JSON. Without one it is the empty process
// that it is held against; `library: 'none'` is that, too, and reports. `report` costs time itself: `split` prints where the time went, `peak`
// the most memory that the process had.

'use strict';

const [jobText] = process.argv.slice(2);
if (jobText !== undefined) {
	const job = JSON.parse(jobText);
	const {report} = job;
	// The global `performance` would load a module, which is none of what is measured.
	const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
	const startMs = nowMs();
	const getToken = libraries()[job.library](job);
	const requiredMs = nowMs();
	getToken().then(token => {
		const tokenMs = nowMs();
		if (job.library !== 'none' && !token.includes('FAKE')) {
			throw new Error('not the token of the cache');
		}

		if (report === 'split') {
			console.log(JSON.stringify({requireMs: requiredMs - startMs, getTokenMs: tokenMs - requiredMs}));
		} else if (report === 'peak') {
			console.log(peakBytes());
		}
	});
}

/** Each loads its library, and gives what then gets the token. */
function libraries() {
	const oursOf = ({SharedTokenCacheCredential}, {username, scope}, useNativeAddon) =>
		async () => (await new SharedTokenCacheCredential({username, useNativeAddon}).getToken(scope)).token;
	const ours = useNativeAddon => job => oursOf(require('../../dist/index.js'), job, useNativeAddon);
	const compiled = job => {
		const {exports, keepCode} = loadCompiled(job.codePath);
		const getToken = oursOf(exports, job, true);
		return async () => {
			const token = await getToken();
			keepCode();
			return token;
		};
	};

	return {
		none: () => async () => '',
		bytes: ({cachePath}) => async () => {
			const {closeSync, openSync, readSync} = require('node:fs');
			// As large as the addon's window.
			const window = Buffer.alloc(64 * 1024);
			const file = openSync(cachePath, 'r');
			while (readSync(file, window) > 0) {
				// The next part.
			}

			closeSync(file);
			return 'FAKE';
		},
		ours: ours(true),
		pure: ours(false),
		compiled,
		'msal-node'({cachePath, clientId, homeAccountId, tenantId, scope}) {
			const {PublicClientApplication} = require('@azure/msal-node');
			const {FilePersistence, PersistenceCachePlugin} = require('@azure/msal-node-extensions');
			return async () => {
				const app = new PublicClientApplication({
					auth: {clientId, authority: `https://login.microsoftonline.com/${tenantId}`},
					cache: {cachePlugin: new PersistenceCachePlugin(await FilePersistence.create(cachePath))},
				});
				const account = await app.getTokenCache().getAccountByHomeId(homeAccountId);
				return (await app.acquireTokenSilent({account, scopes: [scope]})).accessToken;
			};
		},
		identity({clientId, homeAccountId, tenantId, username, scope}) {
			const {DeviceCodeCredential, useIdentityPlugin} = require('@azure/identity');
			useIdentityPlugin(require('@azure/identity-cache-persistence').cachePersistencePlugin);
			return async () => {
				const credential = new DeviceCodeCredential({
					clientId,
					tenantId,
					authenticationRecord: {
						authority: 'login.microsoftonline.com', homeAccountId, clientId, tenantId, username,
					},
					disableAutomaticAuthentication: true,
					tokenCachePersistenceOptions: {enabled: true, unsafeAllowUnencryptedStorage: true},
				});
				return (await credential.getToken(scope)).token;
			};
		},
	};
}

/**
 * This package with the code that V8 made of it the time before, all functions that had run among it, as a `require` without a compiler would
 * load it. If there is no such code yet, `keepCode` writes it down.
 */
function loadCompiled(codePath) {
	const {existsSync, readFileSync, writeFileSync} = require('node:fs');
	const Module = require('node:module');
	const path = require('node:path');
	const {Script} = require('node:vm');
	const file = require.resolve('../../dist/index.js');
	const isMade = existsSync(codePath);
	const script = new Script(Module.wrap(readFileSync(file, 'utf8')), {filename: file, cachedData: isMade ? readFileSync(codePath) : undefined});
	if (script.cachedDataRejected) {
		throw new Error(`V8 does not take the code of ${codePath}, which another version made`);
	}

	const module = {exports: {}};
	script.runInThisContext().call(module.exports, module.exports, Module.createRequire(file), module, file, path.dirname(file));
	return {
		exports: module.exports,
		keepCode() {
			if (!isMade) {
				writeFileSync(codePath, script.createCachedData());
			}
		},
	};
}

/** Not getrusage's figure, which on Linux begins with that of the process which started this one. */
function peakBytes() {
	return process.platform === 'linux'
		? Number(/^VmHWM:\s+(?<kib>\d+) kB$/m.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8')).groups.kib) * 1024
		: process.resourceUsage().maxRSS * 1024;
}
