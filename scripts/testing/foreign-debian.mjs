/** Unpacks Debian packages of another release or CPU into a folder. Installs nothing and changes no setting of this machine. */

import fs from 'node:fs';
import path from 'node:path';
import {runOrFail} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';

/**
 * @param {{suite: string, arch: string, packages: string[], folder: string}} wanted `folder` is removed first.
 * @throws {StepFailure} if apt-get fails.
 */
export async function unpackForeign({suite, arch, packages, folder}) {
	const apt = path.join(folder, 'apt');
	fs.rmSync(folder, {recursive: true, force: true});
	for (const name of ['state/lists/partial', 'cache/archives/partial', 'debs']) {
		fs.mkdirSync(path.join(apt, name), {recursive: true});
	}

	fs.writeFileSync(path.join(apt, 'status'), '');
	fs.writeFileSync(path.join(apt, 'sources.list'), `deb [check-valid-until=no] ${mirror()} ${suite} main\n`);
	const options = [
		`Dir::Etc::SourceList=${path.join(apt, 'sources.list')}`,
		'Dir::Etc::SourceParts=/dev/null',
		`Dir::State=${path.join(apt, 'state')}`,
		`Dir::State::status=${path.join(apt, 'status')}`,
		`Dir::Cache=${path.join(apt, 'cache')}`,
		`APT::Architecture=${arch}`,
		`APT::Architectures=${arch}`,
		'APT::Sandbox::User=root',
		'Acquire::Languages=none',
	].flatMap(option => ['-o', option]);
	await runOrFail('apt-get', [...options, 'update']);
	const debs = path.join(apt, 'debs');
	await runOrFail('apt-get', [...options, 'download', ...packages], {cwd: debs});
	for (const file of fs.readdirSync(debs)) {
		await runOrFail('dpkg-deb', ['--extract', path.join(debs, file), folder]);
	}

	fs.rmSync(apt, {recursive: true});
}

/** The URL of this machine's first package source. */
function mirror() {
	const folder = '/etc/apt/sources.list.d';
	const files = ['/etc/apt/sources.list', ...(fs.existsSync(folder) ? fs.readdirSync(folder).map(name => path.join(folder, name)) : [])];
	const texts = files.filter(file => fs.existsSync(file)).map(file => fs.readFileSync(file, 'utf8'));
	const found = texts.map(text => /^(?:URIs:|deb(?: \[[^\]]*\])?) +(?<uri>\S+)/m.exec(text)?.groups.uri).find(Boolean);
	if (!found) {
		throw new StepFailure('apt has no source of packages');
	}

	return found;
}
