#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# b4 0.12.0-2 of Debian 12 and 0.14.2-2 of Debian 13 (Python 3.11): "b4 --offline-mode am -m MBOX -o FOLDER"
# of two mails that git format-patch --thread wrote, with Message-Id and n/m.
#
# git's configuration has no user.email, as in a container of CI; b4 am adds no signature. Expected: both
# patches, status 0. Seen: so with 0.14.2. 0.12.0 stops behind the name of the first patch, with status 1
# and without a word why; with user.email it takes both.
#
# Prints what it saw; fails if that is anything else.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir/log"' ERR
cd "$dir"

# Of the mirror that this machine uses, from two suites.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/$|{p;q}')
printf 'deb %s bookworm main\ndeb %s trixie main\n' "$mirror" "$mirror" > sources.list
options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache")
apt-get "${options[@]}" update > log 2>&1
for version in 0.12.0-2 0.14.2-2; do
	apt-get "${options[@]}" download "b4=$version" > log 2>&1
	dpkg-deb -x "b4_${version}_all.deb" "$version"
done
for module in python3-dkim python3-dnspython python3-requests python3-patatt python3-urllib3 python3-certifi \
		python3-chardet python3-charset-normalizer python3-idna python3-nacl git-filter-repo; do
	apt-get "${options[@]}" download "$module/bookworm" > log 2>&1
	dpkg-deb -x "${module}"_*.deb modules
done

export HOME=$dir GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
who=(-c user.name=nobody -c user.email=nobody@invalid)
git init -q repo
cd repo
for number in 0 1 2; do
	echo "$number" >> file
	git add file
	git "${who[@]}" commit -q -m "file: add line $number" -m "So that there is one more."
done
git "${who[@]}" format-patch -q --thread --stdout HEAD~2 > ../mbox

am() {	# version of b4, configuration of git
	local status=0 out
	out=$(mktemp -d -p "$dir")
	PYTHONPATH=../$1/usr/lib/python3/dist-packages:../modules/usr/lib/python3/dist-packages GIT_CONFIG_GLOBAL=$2 \
		/usr/bin/python3 "../$1/usr/bin/b4" --no-stdin --offline-mode am -m ../mbox -o "$out" > ../log 2>&1 || status=$?
	echo "b4 $1, $(basename "$2"): status $status, $(cat "$out"/*.mbx 2> /dev/null | grep -c ^Subject:) patches," \
		"last word: $(tail -n 1 ../log | sed 's/^ *//; s|git am .*|git am FILE|')"
}
printf '[user]\nname = nobody\nemail = nobody@invalid\n' > ../with-email
for version in 0.12.0-2 0.14.2-2; do
	am "$version" /dev/null
	am "$version" "$dir/with-email"
done | tee ../seen
diff - ../seen << 'END'
b4 0.12.0-2, null: status 1, 0 patches, last word: [PATCH 1/2] file: add line 1
b4 0.12.0-2, with-email: status 0, 2 patches, last word: git am FILE
b4 0.14.2-2, null: status 0, 2 patches, last word: git am FILE
b4 0.14.2-2, with-email: status 0, 2 patches, last word: git am FILE
END
