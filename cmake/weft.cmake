# The three functions of the house: weft_library, weft_bpf, weft_test (and weft_binary, weft_fuzz, the same idea).

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(Protobuf REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)

add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(WEFT_WERROR)
  add_compile_options(-Werror)
endif()
if(WEFT_SANITIZE)
  add_compile_options(-fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WEFT_SANITIZE})
endif()
if(WEFT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
add_link_options(-fuse-ld=lld)
include_directories(${CMAKE_SOURCE_DIR})
include_directories(SYSTEM ${CMAKE_BINARY_DIR}/gen)
add_compile_definitions(SPDLOG_FMT_EXTERNAL WEFT_VERSION="${PROJECT_VERSION}")

# One static library per room: weft_library(ztunnel_io HDRS loop.h SRCS loop.cc DEPS weft::base)
# gives the target weft_ztunnel_io and the alias weft::ztunnel_io. Headers are included from the root: "ztunnel/io/loop.h".
function(weft_library NAME)
  cmake_parse_arguments(A "" "" "HDRS;SRCS;DEPS" ${ARGN})
  if(A_SRCS)
    add_library(weft_${NAME} STATIC ${A_SRCS})
    target_sources(weft_${NAME} PUBLIC FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR} FILES ${A_HDRS})
    target_link_libraries(weft_${NAME} PUBLIC ${A_DEPS})
  else()
    add_library(weft_${NAME} INTERFACE)
    target_link_libraries(weft_${NAME} INTERFACE ${A_DEPS})
  endif()
  add_library(weft::${NAME} ALIAS weft_${NAME})
endfunction()

# weft_binary(weft-agent SRCS main.cc app.cc DEPS weft::agent)
function(weft_binary NAME)
  cmake_parse_arguments(A "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${NAME} ${A_SRCS})
  target_link_libraries(${NAME} PRIVATE ${A_DEPS})
endfunction()

# One BPF object and its skeleton: weft_bpf(capture capture.bpf.c) gives the header "bpf/capture.skel.h" and the target weft_bpf_capture.
function(weft_bpf NAME SRC)
  find_program(WEFT_BPF_CLANG clang-19 REQUIRED)
  find_program(WEFT_BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)
  set(obj ${CMAKE_BINARY_DIR}/gen/bpf/${NAME}.bpf.o)
  set(skel ${CMAKE_BINARY_DIR}/gen/bpf/${NAME}.skel.h)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/gen/bpf)
  file(GLOB_RECURSE bpf_headers ${CMAKE_SOURCE_DIR}/bpf/include/*.h ${CMAKE_SOURCE_DIR}/bpf/*.h)
  add_custom_command(OUTPUT ${obj} ${skel}
    COMMAND ${WEFT_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Werror -D__TARGET_ARCH_x86
            -I${CMAKE_SOURCE_DIR}/bpf/include -I${CMAKE_SOURCE_DIR}/bpf -idirafter /usr/include/x86_64-linux-gnu
            -c ${CMAKE_CURRENT_SOURCE_DIR}/${SRC} -o ${obj}
    COMMAND ${WEFT_BPFTOOL} gen skeleton ${obj} name weft_${NAME}_bpf > ${skel}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${SRC} ${bpf_headers} VERBATIM)
  add_custom_target(weft_bpf_${NAME}_gen DEPENDS ${skel})
  add_library(weft_bpf_${NAME} INTERFACE)
  add_dependencies(weft_bpf_${NAME} weft_bpf_${NAME}_gen)
  add_library(weft::bpf_${NAME} ALIAS weft_bpf_${NAME})
endfunction()

# weft_test(mesh_policy_test SRCS … DEPS … LABELS unit|sim|bpf|netns [TIMEOUT s]); LABELS bpf and netns need root.
# Every TEST() is one ctest test, named LABEL/Suite.Name.
function(weft_test NAME)
  cmake_parse_arguments(A "" "TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${NAME} ${A_SRCS})
  target_link_libraries(${NAME} PRIVATE ${A_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 60)
  endif()
  list(GET A_LABELS 0 first_label)
  gtest_discover_tests(${NAME} TEST_PREFIX ${first_label}/ DISCOVERY_MODE PRE_TEST
                       PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()

# weft_fuzz(hbone_head_fuzz SRCS … DEPS …): only with -DWEFT_FUZZ=ON; run by tests/fuzz/run.sh.
function(weft_fuzz NAME)
  if(NOT WEFT_FUZZ)
    return()
  endif()
  cmake_parse_arguments(A "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${NAME} ${A_SRCS})
  target_link_libraries(${NAME} PRIVATE ${A_DEPS})
  target_link_options(${NAME} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()
