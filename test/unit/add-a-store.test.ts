/** CONTRIBUTING's recipe "Add a store": in a copy of the repository, its steps add a store, and the conformance suite tests that store. */

import {execFile} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {promisify} from 'node:util';
import test from 'ava';
import {makeScratchTree} from '../../scripts/quality/scratch-tree.mjs';

const run = promisify(execFile);

const root = path.resolve(import.meta.dirname, '..', '..');

/** Keeps a cache in a file with all bits inverted. */
const toyStore = `
import {rename, writeFile} from 'node:fs/promises';
import type {CacheBackend, CacheStore} from './backend.js';
import {readCacheFile, statCacheFile} from './js/cache-file.js';

const invert = (bytes: Uint8Array) => Buffer.from(bytes.map(byte => 255 - byte));

export function open(backend: CacheBackend): CacheStore {
	return {
		name: 'toy',
		kind: 'file',
		probe: () => undefined,
		query: async ({path = ''}, query) => readCacheFile(path, (bytes, {stamp, modifiedMs}) => ({...backend.scan(invert(bytes), query), stamp, modifiedMs})),
		async stamp({path = ''}) {
			return (await statCacheFile(path))?.stamp ?? null;
		},
		read: async ({path = ''}) => readCacheFile(path, (bytes, {stamp, modifiedMs}) => {
			const plain = invert(bytes);
			backend.scan(plain, {environments: [], clientId: '', nowSec: 0});
			return {text: plain.toString(), stamp, modifiedMs};
		}),
		async commit({path = ''}, {change, lockPaths, create, expectedStamp}) {
			const lock = await backend.tryLock(lockPaths);
			if (!lock) {
				return {outcome: 'locked'};
			}

			try {
				const base = await readCacheFile(path, (bytes, {stamp}) => ({plain: invert(bytes), stamp}));
				if (expectedStamp !== undefined && expectedStamp !== (base?.stamp ?? null)) {
					return {outcome: 'changed'};
				}

				if (!base && !create) {
					return {outcome: 'absent'};
				}

				const edited = backend.edit(base?.plain ?? new Uint8Array(), change);
				if (edited.outcome !== 'changed') {
					const unchanged = base ? {outcome: 'unchanged', stamp: base.stamp} as const : {outcome: 'absent'} as const;
					return edited.outcome === 'no-account' ? {outcome: 'no-account'} : unchanged;
				}

				await writeFile(path + '.new', invert(edited.bytes));
				await rename(path + '.new', path);
				return {outcome: 'written', baseStamp: base?.stamp ?? null, stamp: (await statCacheFile(path))?.stamp ?? '', lockLost: false};
			} finally {
				await lock.release();
			}
		},
		tryLock: async paths => backend.tryLock(paths),
	};
}
`;

/** The code of the recipe's steps. */
function linesOfRecipe(): string[] {
	const text = fs.readFileSync(path.join(root, 'CONTRIBUTING.md'), 'utf8');
	const [recipe = ''] = text.slice(text.indexOf('## Add a store')).split('\n## ', 1);
	return [...recipe.matchAll(/```ts\n(?<code>.*?)```/gs)].map(({groups}) => groups!['code']!.trim());
}

function addLine(file: string, after: string, line: string): void {
	const text = fs.readFileSync(file, 'utf8');
	const [before = '', ...rest] = text.split(after);
	if (rest.length !== 1) {
		throw new Error(`${file} has "${after}" ${rest.length} times.`);
	}

	fs.writeFileSync(file, `${before}${after}\n\t${line}${rest[0]}`);
}

test('a store that is added by the recipe is tested by the conformance suite, and found by the credential', async t => {
	const tree = makeScratchTree(`add-a-store-${process.pid}`);
	t.teardown(() => {
		fs.rmSync(tree, {recursive: true, force: true});
	});
	const addon = path.join('build', 'Release', 'azure_shared_token_cache.node');
	if (fs.existsSync(path.join(root, addon))) {
		fs.cpSync(path.join(root, addon), path.join(tree, addon));
	}

	const [lineOfMap = '', lineOfPlaces = ''] = linesOfRecipe();
	fs.writeFileSync(path.join(tree, 'src', 'backend', 'toy-store.ts'), toyStore);
	addLine(path.join(tree, 'src', 'backend', 'stores.ts'), 'export const stores = {', lineOfMap);
	addLine(path.join(tree, 'src', 'cache', 'locations', 'further.ts'), 'const others = otherSuffixes(kind);\n\treturn [', lineOfPlaces);

	await run(process.execPath, ['--input-type=module', '--eval', 'const {buildDist} = await import("./scripts/build/build.mjs"); await buildDist();'], {cwd: tree});
	const suite = await run(process.execPath, ['node_modules/ava/entrypoints/cli.mjs', '--tap', '--match=toy *', 'test/conformance/stores.test.ts'], {cwd: tree});
	const passed = [...suite.stdout.matchAll(/^ok \d+ - (?<title>toy \(.*)$/gm)].map(({groups}) => groups!['title']!);
	t.log(passed);
	t.notRegex(suite.stdout, /^not ok|# SKIP/m);
	for (const kind of ['native', 'pure']) {
		for (const part of ['query, stamp and read agree about a cache', 'a damaged cache is an error with a code, and stays', 'a commit creates a cache only if it may']) {
			t.true(passed.includes(`toy (${kind}): ${part}`), `${kind}: ${part}`);
		}
	}

	if (process.platform !== 'linux') {
		// The place was added to Linux' list.
		return;
	}

	const home = fs.mkdtempSync(path.join(tree, 'home-'));
	const cache = path.join(home, '.IdentityService', 'toy.cache');
	fs.mkdirSync(path.dirname(cache));
	const text = JSON.stringify({
		Account: {a: {home_account_id: 'a.home', environment: 'login.microsoftonline.com', username: 'toy@contoso.com'}},
		RefreshToken: {
			r: {
				home_account_id: 'a.home', environment: 'login.microsoftonline.com', secret: 'FAKE', family_id: '1',
			},
		},
	});
	fs.writeFileSync(cache, Buffer.from(text).map(byte => 255 - byte));
	const program = 'new (require("./dist/index.js").SharedTokenCacheCredential)().listAccounts().then(accounts => console.log(JSON.stringify(accounts.map(({username, source}) => ({username, source})))));';
	const {stdout} = await run(process.execPath, ['--eval', program], {cwd: tree, env: {PATH: process.env['PATH'] ?? '', HOME: home}});
	t.deepEqual(JSON.parse(stdout), [{username: 'toy@contoso.com', source: cache}]);
});
