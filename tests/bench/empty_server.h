#ifndef TRIBUTARY_TESTS_BENCH_EMPTY_SERVER_H_
#define TRIBUTARY_TESTS_BENCH_EMPTY_SERVER_H_

#include <string>

#include "tributary/v1/recommendation_service.pb.h"

// The peer of our server: what gRPC costs alone, and what this machine makes of it.
namespace tributary::serving {

// Of an answer for the peer to give, between the processes of a benchmark.
void WriteAnswer(const v1::RecommendResponse& answer, const std::string& file);
v1::RecommendResponse ReadAnswer(const std::string& file);

// Answers each Recommend with a copy of the file's answer, by gRPC's callback API, until the ServerProcess is gone.
void ServeEmptyCallback(const std::string& answer_file);

}  // namespace tributary::serving

#endif  // TRIBUTARY_TESTS_BENCH_EMPTY_SERVER_H_
