/** Files that are no regular files, where a cache or a lock file should be: the error says what is there and what to do. Native and JS. */

import {execFileSync} from 'node:child_process';
import {
	mkdirSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {SharedTokenCache, type StoreError} from '../../dist/index.js';
import {accountRecord, ann, TestHome} from '../helpers/home.js';

const fifo = (path: string) => execFileSync('mkfifo', [path]);
const circle = (path: string) => {
	symlinkSync(path, path);
};

const link = /: a symbolic link that leads in a circle, or that must not be followed\. Delete the link\.$/;
const directory = /: a directory, where a file is needed\. Move it away\.$/;
const special = /: not a regular file, but a FIFO, a socket or a device\. Move it away\.$/;

const cases: Array<[name: string, make: (path: string) => void, lock: boolean, message: RegExp]> = [
	['the lock file is a symbolic link', path => {
		symlinkSync('elsewhere', path);
	}, true, link],
	['the lock file is a link to a file', path => {
		writeFileSync(`${path}.target`, '');
		symlinkSync(`${path}.target`, path);
	}, true, link],
	['the lock file is a FIFO', fifo, true, special],
	['the lock file is a directory', path => {
		mkdirSync(path);
	}, true, directory],
	['the cache is a dangling link', path => {
		symlinkSync('nowhere', path);
	}, false, /: a symbolic link whose target is missing\. Delete the link, or make the target\.$/],
	['the cache is a circle of links', circle, false, link],
	['the cache is a directory', path => {
		mkdirSync(path);
	}, false, directory],
	['the cache is a FIFO', fifo, false, special],
	['the cache is a device', path => {
		symlinkSync('/dev/zero', path);
	}, false, special],
];

for (const useNativeAddon of [undefined, false]) {
	const variant = useNativeAddon === false ? 'pure' : 'native';
	for (const [name, make, isLock, message] of cases) {
		test(`D12: ${variant}: ${name}`, async t => {
			const home = new TestHome(t);
			const cachePath = home.writeSettled('{}', 'cache.json');
			const path = isLock ? `${cachePath}.lockfile` : cachePath;
			rmSync(path, {force: true});
			make(path);
			const cache = new SharedTokenCache({
				cachePath, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, ...(useNativeAddon !== undefined && {useNativeAddon}),
			});
			const error = await t.throwsAsync<StoreError>(cache.withCache(records => {
				records['Account'] = {key: accountRecord(ann)};
			}), {name: 'StoreError', message});
			t.is(error.code, 'STC_IO');
			t.true(error.message.startsWith(path), error.message);
			t.is(error.osDomain, 'errno');
		});
	}

	test(`D12: ${variant}: getToken names a cache that is a link to nowhere`, async t => {
		const home = new TestHome(t);
		const path = join(home.path, '.IdentityService', 'msal.cache.nocae');
		mkdirSync(join(home.path, '.IdentityService'));
		symlinkSync('nowhere', path);
		const credential = home.credential({...(useNativeAddon !== undefined && {useNativeAddon})});
		const error = await t.throwsAsync<StoreError>(credential.getToken('a/.default'), {
			code: 'STC_CACHE_NOT_FOUND', message: /no cache was found: .*msal\.cache\.nocae is a symbolic link whose target is missing\. Delete the link, or make the target\./,
		});
		t.true(error.details!.some(({place, text}) => place === path && text === 'a symbolic link whose target is missing'));
	});
}
