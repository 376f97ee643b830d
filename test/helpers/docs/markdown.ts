/** The project's Markdown files, and their code blocks, links and headings. */

import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '..', '..', '..');

export type CodeBlock = {
	/** Path from the root of the project, and the block's number among those of the same file, from 1. */
	name: string;
	language: string;
	code: string;
};

/** Paths from the root of the project. Lists folders instead of asking Git, which copies of the project do not have. */
export function markdownFiles(): string[] {
	return ['.', 'docs', 'bench', 'prebuilds'].flatMap(folder => readdirSync(path.join(root, folder))
		.filter(name => name.endsWith('.md'))
		.map(name => path.posix.join(folder, name)));
}

export function readText(file: string): string {
	return readFileSync(path.join(root, file), 'utf8');
}

const fence = /^(?<indent> *)```(?<language>\w*)\n(?<code>[\s\S]*?)^\k<indent>```$/gm;

export function codeBlocks(file: string): CodeBlock[] {
	return [...readText(file).matchAll(fence)].map(({groups}, index) => ({
		name: `${file} ${index + 1}`,
		language: groups!['language']!,
		code: groups!['code']!,
	}));
}

/** The text without code blocks. */
function proseOf(file: string): string {
	return readText(file).replaceAll(fence, '');
}

/** The targets of links and images. Source: CommonMark 0.31, "Links"; reference links are not used here. */
export function linksOf(file: string): string[] {
	return [...proseOf(file).replaceAll(/`[^`\n]*`/g, '').matchAll(/\]\((?<target>[^)\s]+)\)/g)].map(({groups}) => groups!['target']!);
}

/** The anchors that GitHub makes of headings: lower case, without punctuation, hyphens for spaces. */
export function anchorsOf(file: string): Set<string> {
	return new Set([...proseOf(file).matchAll(/^#+ (?<heading>.*)$/gm)].map(({groups}) => groups!['heading']!
		.toLowerCase()
		.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
		.trim()
		.replaceAll(' ', '-')));
}

/** The contents of code spans. */
export function codeSpansOf(file: string): string[] {
	return [...proseOf(file).matchAll(/`(?<code>[^`\n]+)`/g)].map(({groups}) => groups!['code']!);
}
