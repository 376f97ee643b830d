/** Names and paths that Windows does not take for plain files. The functions run on every system. */

import test from 'ava';
import {faultOfWindowsName, faultOfWindowsPath} from '../../dist/settings/windows-names.js';

for (const name of ['CON', 'nul', 'aux.txt', 'LPT1', 'com9.cache', 'COM¹', 'prn .x', 'ConIn$']) {
	test(`W12: ${name} is a device`, t => {
		t.regex(faultOfWindowsName(name) ?? '', /device/);
	});
}

test('W12: names that only begin like a device are names', t => {
	for (const name of ['console', 'nullable.cache', 'lpt', 'com10', 'auxiliary', 'msal.cache', 'Zoë 名前', '.hidden', 'a.con']) {
		t.is(faultOfWindowsName(name), undefined, name);
	}
});

test('names with other characters than Windows allows, or with an end that it removes', t => {
	for (const name of ['a:b', 'a<b', 'a|b', 'what?', 'all*', '"a"']) {
		t.regex(faultOfWindowsName(name) ?? '', /character/, name);
	}

	for (const name of ['cache.', 'cache ']) {
		t.regex(faultOfWindowsName(name) ?? '', /removes/, name);
	}
});

test('W13: a path needs a drive or a server, and names one plain file', t => {
	for (const path of [String.raw`C:\d\x.json`, 'c:/d/x.json', String.raw`\\server\share\x.json`, String.raw`\\?\C:\d\x.json`, String.raw`\\?\UNC\server\share\x.json`, String.raw`C:\a\..\x.json`]) {
		t.is(faultOfWindowsPath(path), undefined, path);
	}

	for (const path of [String.raw`\x.json`, '/x.json', 'C:x.json', String.raw`\\server`]) {
		t.regex(faultOfWindowsPath(path) ?? '', /no drive/, path);
	}

	t.regex(faultOfWindowsPath(String.raw`C:\d\x.json:stream`) ?? '', /"x\.json:stream": it has a character/);
	t.regex(faultOfWindowsPath(String.raw`C:\nul\x.json`) ?? '', /"nul": Windows takes it for a device/);
	t.regex(faultOfWindowsPath(String.raw`\\?\C:\d\con.json`) ?? '', /device/);
});
