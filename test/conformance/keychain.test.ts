/**
 * The Keychain store of macOS, compiled for this machine and linked with a stand-in for Apple's frameworks
 * (`test/native/keychain_stand_in`). It tests the store's logic, not macOS. Each case is a TAP line.
 */

import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {cacheSources} from '../../dist/cache/locations/index.js';
import {testWhere} from '../helpers/peers/peers.js';
import {buildProgram, missingObjects} from '../torture/native-program.js';

testWhere(test, [missingObjects()], 'keychain items: read, write in place, races, questions, lack of memory; no object leaks', t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-keychain-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const stores = ['keychain', 'keychain_calls', 'keychain_item', 'keychain_status'].map(name => `native/stores/${name}_mac.cc`);
	const program = buildProgram('keychain_test', directory, ['test/native/keychain_stand_in.cc', ...stores]);
	const {status, stdout, signal} = spawnSync(program, {cwd: directory, encoding: 'utf8', timeout: 300_000});
	for (const line of stdout.split('\n').filter(each => /^(?:not ok|ok|#)/.test(each))) {
		t.log(line);
	}

	t.is(signal, null);
	t.is(status, 0);
	t.regex(stdout, /^1\.\.\d\d$/m);
	t.notRegex(stdout, /^not ok/m);
});

test('macOS: the caches of all languages are found in the right order', t => {
	const settings = {
		platform: 'darwin' as const, home: '/Users/ann', dataHome: '/Users/ann/.local/share', cacheHome: '/Users/ann/.cache', cacheName: 'msal.cache',
	};
	const {primary, extra} = cacheSources('nocae', settings);
	const describe = ({at: {path, attributes}}: (typeof primary)[number]) => path ?? `${attributes?.['service'] ?? ''}/${attributes?.['account'] ?? ''}`;
	const ours = 'Microsoft.Developer.IdentityService';
	t.deepEqual(primary.map(source => describe(source)), [`${ours}/MSALCache`, '/Users/ann/.IdentityService/msal.cache.nocae']);
	t.deepEqual(extra.map(source => describe(source)), [
		'/Users/ann/.IdentityService/msal.cache.cae',
		'/Users/ann/.IdentityService/msal.cache',
		`${ours}/msal.cache.nocae`,
		`${ours}/msal.cache.cae`,
		`${ours}/msal.cache`,
		`${ours}/MSALCache.nocae`,
		`${ours}/MSALCache.cae`,
		'msal.cache.nocae/MSALCache',
		'msal.cache.cae/MSALCache',
		'msal.cache/MSALCache',
		'/Users/ann/.local/share/.IdentityService/msal.cache.nocae',
		'/Users/ann/.local/share/.IdentityService/msal.cache.cae',
		'/Users/ann/.local/share/.IdentityService/msal.cache',
		'/Users/ann/.local/.IdentityService/msal.cache',
	]);
	t.true([...primary, ...extra].every(({at}) => at.noPrompts === undefined));
	const quiet = cacheSources('nocae', {...settings, disableKeychainPrompts: true});
	t.true([...quiet.primary, ...quiet.extra].every(({store, at}) => (at.noPrompts === true) === (store === 'keychain')));
	t.deepEqual((['nocae', 'cae'] as const).map(kind => cacheSources(kind, settings).primary[0]?.kind), ['nocae', 'cae'], 'the item contains tokens of both kinds, and both requests use it');
	// All cache names share one item. Each writer locks a file with its own name in its own folder.
	const locksOf = (kind: 'cae' | 'nocae', cacheName: string) => cacheSources(kind, {...settings, cacheName}).primary[0]!.lockPaths.map(path => path.replace('/Users/ann/', '').replace('.IdentityService/', '').replace('.lockfile', ''));
	const others = (...names: string[]) => ['.local/msal.cache', ...names.map(name => `.local/share/${name}`), ...names.map(name => `Library/Application Support/${name}`)];
	t.deepEqual(locksOf('nocae', 'msal.cache'), ['msal.cache.nocae', 'msal.cache.cae', 'msal.cache', ...others('msal.cache')]);
	t.deepEqual(locksOf('cae', 'msal.cache'), locksOf('nocae', 'msal.cache'), 'the same order for both kinds, so that two writers cannot deadlock');
	t.deepEqual(locksOf('nocae', 'own'), ['msal.cache.nocae', 'msal.cache.cae', 'msal.cache', 'own.nocae', 'own.cae', 'own', ...others('msal.cache', 'own')]);
	t.is(primary[0]!.signalPath, '/Users/ann/.IdentityService/msal.cache.nocae');
	t.true(extra.filter(({store}) => store === 'keychain').every(({lockPaths}) => lockPaths.length === 0), 'these locations are only read');
});
