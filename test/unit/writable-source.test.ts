/** What is said where no cache can be made. */

import test from 'ava';
import {cacheSources} from '../../dist/cache/locations/index.js';
import {writableSource} from '../../dist/cache/commit.js';
import {StoreError} from '../../dist/errors.js';

const settings = {
	home: '/home/ann', dataHome: '/home/ann/data', cacheHome: '/home/ann/cache', localAppData: '/home/ann/local', cacheName: 'msal.cache',
};
const lack = new StoreError('STC_ADDON_MISSING', 'Reading the store needs the native addon. Reinstall the package.');

async function refusal(platform: NodeJS.Platform, mayBePlaintext: boolean): Promise<StoreError | undefined> {
	const {primary} = cacheSources('nocae', {...settings, platform});
	return writableSource(primary, mayBePlaintext, {
		storeOf() {
			throw lack;
		},
		deadlineMs: () => 1000,
		lockTimeoutMs: 1000,
	}).then(() => undefined, (error: unknown) => error as StoreError);
}

test('W6: on Windows nothing offers a plaintext file, because there is none', async t => {
	for (const mayBePlaintext of [false, true]) {
		const error = await refusal('win32', mayBePlaintext);
		t.is(error?.code, 'STC_ADDON_MISSING');
		t.is(error?.message, 'No encrypted cache can be made, and this system\'s shared cache has no plaintext form. Reading the store needs the native addon. Reinstall the package.');
	}
});

for (const platform of ['linux', 'darwin'] as const) {
	test(`on ${platform} the error offers a plaintext file, and the option allows it`, async t => {
		t.regex((await refusal(platform, false))?.message ?? '', /^No encrypted cache can be made\. Reading the store needs the native addon\. Set tokenCachePersistenceOptions\.unsafeAllowUnencryptedStorage/);
		t.is(await refusal(platform, true), undefined);
	});
}
