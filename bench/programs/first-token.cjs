// P3 and P6: a new process gets one cached token, like an application. Argument: a job as JSON. Without an argument it
// is the empty process for the comparison; `library: 'none'` is the same with a report. `report` takes time itself:
// `split` prints the times of the steps, `peak` the peak memory of the process.

'use strict';

const [jobText] = process.argv.slice(2);
if (jobText !== undefined) {
	const job = JSON.parse(jobText);
	const {report} = job;
	// The global `performance` would load a module that is not part of the measurement.
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

/** Each loads its library and returns a function that gets the token. */
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
			// As large as the addon's read buffer.
			const window = Buffer.alloc(64 * 1024);
			const file = openSync(cachePath, 'r');
			while (readSync(file, window) > 0) {
				// Reads the next part.
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
 * Loads this package with V8's compiled code from an earlier run, including all functions that had run: like a
 * `require` without a compiler. Without such code, `keepCode` writes it.
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
		throw new Error(`V8 rejects the code in ${codePath}, which another version wrote`);
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

/** Not getrusage's figure, which on Linux starts with that of the parent process. */
function peakBytes() {
	return process.platform === 'linux'
		? Number(/^VmHWM:\s+(?<kib>\d+) kB$/m.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8')).groups.kib) * 1024
		: process.resourceUsage().maxRSS * 1024;
}
