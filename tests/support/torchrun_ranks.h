// A command run as torchrun runs it: one process for each rank, told apart by its environment.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "benchmarks/cli/supervisor.h"

namespace switchyard::test {

inline int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

/// Runs the command as every rank of a group at once; each must succeed. Returns what each printed.
inline std::vector<std::string> run_under_torchrun(int num_ranks,
                                                   const std::vector<std::string>& command) {
  const std::string port = "SWITCHYARD_PORT=" + std::to_string(free_port());
  bench::Supervisor supervisor({});
  for (int rank = 0; rank < num_ranks; ++rank) {
    std::vector<std::string> words{"env",
                                   "RANK=" + std::to_string(rank),
                                   "WORLD_SIZE=" + std::to_string(num_ranks),
                                   "MASTER_ADDR=127.0.0.1",
                                   port,
                                   "SWITCHYARD_SECRET=a secret of this test"};
    words.insert(words.end(), command.begin(), command.end());
    supervisor.add([words](int output_fd) {
      ::dup2(output_fd, STDOUT_FILENO);
      std::vector<char*> argv;
      for (const std::string& word : words) {
        argv.push_back(const_cast<char*>(word.c_str()));
      }
      argv.push_back(nullptr);
      ::execvp(argv[0], argv.data());
      return 127;
    });
  }
  std::vector<std::string> outputs(static_cast<std::size_t>(num_ranks));
  const bench::SupervisedRun run = supervisor.run([&](int child, const std::string& line) {
    outputs[static_cast<std::size_t>(child)] += line + "\n";
  });
  EXPECT_TRUE(run.ok());
  return outputs;
}

}  // namespace switchyard::test
