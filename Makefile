# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The front door: short names for what Meson and the scripts in tools/ do. `make help` lists them.

BUILD  ?= build
PREFIX ?= /usr/local
MESON  ?= meson

.PHONY: all run run-linux test bench install check clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/install-packages --check build
	@$(MESON) setup $(BUILD)

run:
	@tools/run-unikernel

run-linux:
	@tools/run-linux

test:
	@tools/install-packages build test run
	@tools/test

bench:
	@tools/install-packages build run
	@bench/run

install: all
	@$(MESON) configure $(BUILD) -Dprefix='$(PREFIX)'
	@ninja -C $(BUILD)
	@DESTDIR='$(DESTDIR)' $(MESON) install -C $(BUILD) --no-rebuild

check:
	@tools/install-packages --check build test
	@tools/test --static

clean:
	rm -rf $(BUILD)

help:
	@echo 'make          build; the programs are in $(BUILD)/bin (installs nothing)'
	@echo 'make run      install the packages needed, build, run a C program as a virtual machine'
	@echo 'make run-linux  the same for a Linux, with its shell'
	@echo 'make test     install the packages needed, build, run every test'
	@echo 'make bench    run the measurements in bench/, JSON in $(BUILD)/bench'
	@echo 'make check    the static checks only: format, headers, arrows, state, documents'
	@echo 'make install  install to PREFIX (now $(PREFIX)) below DESTDIR (now "$(DESTDIR)")'
	@echo 'make clean    remove $(BUILD)'
