/**
 * `npm run demo` gets a cached token, redeems a refresh token and writes the result back, with the native and with the pure-JS variant.
 * It uses invented data and a token endpoint on loopback. With `--real` it reads the caches of the user who runs it.
 */

import {execFile} from 'node:child_process';
import {
	mkdirSync, mkdtempSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import {parseArgs, promisify, styleText} from 'node:util';
import {maskUserName} from '../../dist/lookup/account-errors.js';
import {type EntraServer, type RecordedRequest, startEntraServer} from '../../test/helpers/authority/entra-server.js';
import {demoCache, demoRefreshToken, demoUser} from './cache.js';
import type {
	Step, Variant, VariantJob, VariantReport,
} from './steps.js';

const usage = `Usage: npm run demo -- [--real [--scope S] [--username U] [--tenant T] [--name N]] [--help]

  (nothing)      on an embedded cache and token endpoint; touches nothing of yours
  --real         on your own shared token cache; shows no secret, writes nothing to the cache
  --scope S      what to ask a token for  (default https://management.azure.com/.default)
  --username U   which account, where there are several
  --tenant T     its home tenant
  --name N       base name of the cache  (default msal.cache)
  --help         this text`;

const runFile = promisify(execFile);
const variants: readonly Variant[] = ['native', 'pure'];

const strong = (text: string) => style('bold', text);
const faint = (text: string) => style('dim', text);
const good = (text: string) => style('green', text);
const bad = (text: string) => style('red', text);

function style(format: Parameters<typeof styleText>[0], text: string): string {
	return process.stdout.isTTY && !process.env['NO_COLOR'] ? styleText(format, text) : text;
}

function print(...lines: string[]): void {
	console.log(lines.join('\n'));
}

async function runVariant(job: VariantJob, environment: Record<string, string>): Promise<VariantReport> {
	const {stdout} = await runFile(process.execPath, [fileURLToPath(new URL('variant.mjs', import.meta.url)), JSON.stringify(job)], {
		env: {...process.env, ...environment},
	});
	return JSON.parse(stdout) as VariantReport;
}

async function embedded(): Promise<boolean> {
	const home = mkdtempSync(join(tmpdir(), 'azure-shared-token-cache-demo-'));
	const server = await startEntraServer({refreshTokens: {[demoRefreshToken]: demoUser}});
	try {
		const directory = join(home, '.IdentityService');
		const cachePath = join(directory, 'msal.cache.nocae');
		const authorityPath = join(home, 'authority.pem');
		mkdirSync(directory, {mode: 0o700});
		writeFileSync(authorityPath, server.ca);
		print(
			strong('azure-shared-token-cache: the main job, on embedded data'),
			'',
			`  cache           a throw-away home directory with ${strong('.IdentityService/msal.cache.nocae')}, as MSAL for Python writes it`,
			`  token endpoint  ${strong(server.origin)}, ${good('embedded in this demo: not Microsoft Entra')}, over TLS with its own authority`,
			'  secrets         all made up; nothing leaves this machine, nothing of yours is read',
			'',
		);
		const reports: VariantReport[] = [];
		for (const variant of variants) {
			// Each variant gets a new copy of the cache.
			writeFileSync(cachePath, demoCache(`localhost:${server.port}`), {mode: 0o600});
			// Not in parallel, because the times are measured.
			reports.push(await runVariant(
				{
					variant,
					scope: 'https://vault.azure.net/.default',
					options: {authorityHost: server.origin, username: demoUser.username},
					expirePath: cachePath,
				},
				{
					HOME: home, XDG_DATA_HOME: '', DBUS_SESSION_BUS_ADDRESS: '', XDG_RUNTIME_DIR: '', NODE_EXTRA_CA_CERTS: authorityPath, AZURE_TENANT_ID: '', AZURE_USERNAME: '',
				},
			));
		}

		const isDone = printReports(reports, home);
		printRequest(server);
		print(
			'',
			isDone ? good('Done.') : bad('Something failed: see above.'),
			faint('Your own cache: npm run demo -- --real   All tests: npm test'),
		);
		return isDone;
	} finally {
		await server.close();
		rmSync(home, {recursive: true, force: true});
	}
}

async function real(values: {scope?: string | undefined; username?: string | undefined; tenant?: string | undefined; name?: string | undefined}): Promise<boolean> {
	const scope = values.scope ?? 'https://management.azure.com/.default';
	print(
		strong('azure-shared-token-cache: on your own shared token cache'),
		'',
		`  scope    ${scope}`,
		'  secrets  never shown; the cache is read, not written. Without a cached access token a refresh token is redeemed.',
		'',
	);
	const options = {
		...(values.username && {username: values.username}),
		...(values.tenant && {tenantId: values.tenant}),
		tokenCachePersistenceOptions: {readOnly: true, ...(values.name && {name: values.name})},
	};
	const reports: VariantReport[] = [];
	for (const variant of variants) {
		reports.push(await runVariant({variant, scope, options}, {}));
	}

	return printReports(reports, undefined);
}

/** @param home A temporary home folder, which is removed from the printed paths. */
function printReports(reports: readonly VariantReport[], home: string | undefined): boolean {
	const accounts = reports.find(report => report.accounts.length > 0)?.accounts ?? [];
	if (accounts.length > 0) {
		print(strong('Accounts'));
		for (const account of accounts) {
			const source = home ? account.source.replace(home, '~') : account.source;
			print(`  ${account.usable ? good('usable') : faint('no refresh token')}  ${maskUserName(account.username)}  ${faint(account.homeAccountId)}  ${source}`);
		}

		print('');
	}

	print(strong('Steps'), '', faint(`  ${'step'.padEnd(30)}${variants.map(variant => (variant === 'pure' ? 'pure JS' : variant).padStart(12)).join('')}   result`));
	// The variant with the most steps has the names of all of them.
	const [furthest] = reports.toSorted((a, b) => b.steps.length - a.steps.length);
	const names = furthest?.steps.map(({name}) => name) ?? [];
	for (const name of names) {
		const steps = variants.map(variant => reports.find(report => report.variant === variant)?.steps.find(step => step.name === name));
		print(`  ${name.padEnd(30)}${steps.map(step => formatTime(step).padStart(12)).join('')}   ${faint(steps.find(Boolean)?.note ?? '')}`);
	}

	for (const {variant, failure} of reports) {
		if (failure) {
			print('', bad(`  ${variant}: ${failure}`));
		}
	}

	return reports.every(report => !report.failure);
}

function formatTime(step: Step | undefined): string {
	if (!step) {
		return '-';
	}

	const {ms} = step;
	return ms >= 0.1 ? `${ms.toFixed(ms < 10 ? 2 : 1)} ms` : (ms >= 0.001 ? `${(ms * 1000).toFixed(2)} us` : `${Math.round(ms * 1_000_000)} ns`);
}

function printRequest(server: EntraServer): void {
	const [request] = server.tokenRequests;
	if (!request) {
		return;
	}

	print('', strong(`The token request that each variant sent (${server.tokenRequests.length} in total)`), '', ...describeRequest(request).map(line => `  ${line}`));
}

const secretFields = new Set(['refresh_token', 'client_secret', 'assertion']);

function describeRequest(request: RecordedRequest): string[] {
	const headers: string[] = [];
	for (let index = 0; index < request.rawHeaders.length; index += 2) {
		headers.push(faint(`${request.rawHeaders[index] ?? ''}: ${request.rawHeaders[index + 1] ?? ''}`));
	}

	return [
		`${request.method} ${request.path} HTTP/1.1`,
		...headers,
		'',
		...[...request.form].map(([name, value]) => `${name.padEnd(14)} ${secretFields.has(name) ? bad(`[${value.length} characters, masked]`) : value}`),
	];
}

async function main(): Promise<void> {
	let values;
	try {
		({values} = parseArgs({
			options: {
				real: {type: 'boolean', default: false},
				scope: {type: 'string'},
				username: {type: 'string'},
				tenant: {type: 'string'},
				name: {type: 'string'},
				help: {type: 'boolean', short: 'h', default: false},
			},
		}));
	} catch (error) {
		print(bad((error as Error).message), '', usage);
		process.exitCode = 2;
		return;
	}

	if (values.help) {
		print(usage);
		return;
	}

	process.exitCode = await (values.real ? real(values) : embedded()) ? 0 : 1;
}

await main();
