/**
 * Compiles programs against the declarations as users do: with the oldest and the newest TypeScript, each module resolution, checks
 * beyond `strict`, and without `skipLibCheck`. Node's types need a newer TypeScript than the oldest one.
 */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {installPackages} from '../lib/npm.mjs';
import {fromRoot} from '../lib/paths.mjs';
import {run} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';

const packages = fromRoot('test', 'types', 'consumers');
const project = fromRoot('.cache', 'consumer-types');

/** @returns {Promise<string>} What was done. */
export async function installConsumers() {
	return installPackages(packages);
}

const imports = {
	mts: 'import * as ours from \'azure-shared-token-cache\';\n',
	cts: 'import ours = require(\'azure-shared-token-cache\');\n',
};

/** The types are assignable to and from those of the oldest and the newest `@azure/core-auth`. */
const azure = ['oldest', 'newest'].map(age => `
	import type * as ${age} from 'core-auth-${age}';
	takes<${age}.TokenCredential>(new ours.SharedTokenCacheCredential());
	takes<ours.GetTokenOptions>(gives<${age}.GetTokenOptions>());
	takes<${age}.AccessToken>(gives<ours.AccessToken>());
`).join('');

const program = `
	declare function takes<T>(value: T): void;
	declare function gives<T>(): T;
	const credential = new ours.SharedTokenCacheCredential({username: 'someone@contoso.com', tokenCachePersistenceOptions: {name: 'msal.cache'}});
	export async function header(): Promise<string> {
		const {token, expiresOnTimestamp} = await credential.getToken(['scope'], {enableCae: true});
		await credential[Symbol.asyncDispose]();
		return token + expiresOnTimestamp.toFixed();
	}

	export async function names(): Promise<Array<string | undefined>> {
		const accounts = await new ours.SharedTokenCache({enableCae: true}).listAccounts();
		return accounts.map(account => account.username);
	}

	export function codeOf(error: unknown): ours.ErrorCode | undefined {
		return error instanceof ours.CredentialUnavailableError ? error.code : undefined;
	}

	// @ts-expect-error There is no such method.
	credential.getTokens();
	// @ts-expect-error With exactOptionalPropertyTypes, undefined is no value of an option.
	new ours.SharedTokenCacheCredential({username: undefined});
`;

const disposing = `
	export async function dispose(): Promise<string> {
		await using credential = new ours.SharedTokenCacheCredential();
		return (await credential.getToken('scope')).token;
	}
`;

const variants = [
	...['oldest', 'newest'].flatMap(typescript => [['node16', 'node16'], ['nodenext', 'nodenext'], ['bundler', 'esnext']].map(([moduleResolution, module]) => ({
		typescript, moduleResolution, module, lib: ['es2022'], types: [], extra: '',
	}))),
	{
		typescript: 'newest', moduleResolution: 'nodenext', module: 'nodenext', lib: ['esnext'], types: ['node'], extra: disposing,
	},
];

/** @returns {Array<{name: string, check: () => Promise<void>}>} A test for each compiler and its settings. */
export function consumerTests() {
	return variants.map(variant => {
		const {typescript, moduleResolution, types} = variant;
		const folder = path.join(packages, 'node_modules', `typescript-${typescript}`);
		return {
			name: `types: ${typescript} TypeScript, ${moduleResolution}${types.length > 0 ? ', with Node\'s types' : ''}`,
			async check() {
				writeProject(variant);
				const {code, output} = await run(process.execPath, [path.join(folder, 'bin', 'tsc'), '--project', project, '--pretty', 'false']);
				if (code !== 0) {
					throw new StepFailure('does not compile', output);
				}
			},
		};
	});
}

function writeProject({moduleResolution, module, lib, types, extra}) {
	fs.rmSync(project, {recursive: true, force: true});
	const installed = path.join(project, 'node_modules', 'azure-shared-token-cache');
	fs.mkdirSync(installed, {recursive: true});
	for (const name of ['package.json', 'dist']) {
		fs.cpSync(fromRoot(name), path.join(installed, name), {recursive: true});
	}

	fs.symlinkSync(fromRoot('node_modules', '@types'), path.join(project, 'node_modules', '@types'));
	for (const name of ['core-auth-oldest', 'core-auth-newest']) {
		fs.symlinkSync(path.join(packages, 'node_modules', name), path.join(project, 'node_modules', name));
	}

	fs.writeFileSync(path.join(project, 'use.mts'), `${imports.mts}${program}${azure}${extra}`);
	const files = ['use.mts'];
	if (moduleResolution !== 'bundler') {
		// With "bundler", TypeScript refuses "import = require".
		fs.writeFileSync(path.join(project, 'use.cts'), `${imports.cts}${program}${azure}`);
		files.push('use.cts');
	}

	fs.writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({
		compilerOptions: {
			module,
			moduleResolution,
			target: 'es2022',
			lib,
			types,
			strict: true,
			exactOptionalPropertyTypes: true,
			noUncheckedIndexedAccess: true,
			noPropertyAccessFromIndexSignature: true,
			skipLibCheck: false,
			noEmit: true,
		},
		files,
	}));
}
