# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# CMake: cmake -DCMAKE_TOOLCHAIN_FILE=.../skete.cmake, with skete-cc on the PATH.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER skete-cc)
set(CMAKE_AR skete-ar)
set(CMAKE_RANLIB skete-ranlib)
set(CMAKE_TRY_COMPILE_TARGET_TYPE EXECUTABLE)
set(CMAKE_CROSSCOMPILING_EMULATOR skete run)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE NEVER)
