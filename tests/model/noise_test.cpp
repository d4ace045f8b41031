#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <scorelab/error.h>
#include <scorelab/noise.h>
#include <scorelab/philox.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "statistics.h"

namespace scorelab {
namespace {

using test::correlation, test::kolmogorov_smirnov, test::normal_cdf;

at::Tensor rows(std::int64_t n, std::int64_t width = 9, at::ScalarType dtype = at::kDouble) {
  return at::empty({n, width}, dtype);
}

TEST(Philox, HasTheKnownAnswersOfRandom123) {  // Random123, tests/kat_vectors, philox4x32 10
  const auto check = [](philox::Block counter, std::uint32_t key0, std::uint32_t key1,
                        philox::Block expected) {
    const philox::Block got = philox::philox4x32(counter, key0, key1);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(got.word[i], expected.word[i]) << "word " << i;
  };
  check({{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  check({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  check({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0,
        {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

TEST(Philox, UnitNeverReachesAnEnd) {
  EXPECT_GT(philox::unit(0), 0);
  EXPECT_LT(philox::unit(~0u), 1);
  EXPECT_EQ(philox::unit(0x80000000u) - 0.5, 0.5 - philox::unit(0x7fffffffu));
}

TEST(Philox, UniformsStayBelowOneInFloat32) {
  for (const std::uint32_t word : {~0u, ~0u - 64, ~0u - 127}) {
    EXPECT_EQ(static_cast<float>(philox::unit(word)), 1.0f) << "otherwise this test says nothing";
    EXPECT_LT(philox::narrowed<float>(philox::unit(word), philox::uniform), 1.0f);
    EXPECT_EQ(philox::narrowed<double>(philox::unit(word), philox::uniform), philox::unit(word));
  }
  EXPECT_EQ(philox::narrowed<float>(1.0, philox::sign), 1.0f);
  EXPECT_EQ(philox::narrowed<float>(3.5, philox::normal), 3.5f);
}

TEST(Noise, HasTheSameBitsWhateverTheBatchAndItsNeighbours) {
  for (const auto dtype : {at::kDouble, at::kFloat})
    for (const auto law : {&Noise::normal, &Noise::uniform, &Noise::sign}) {
      Noise all(5, "path");
      const at::Tensor first = (all.*law)(rows(130, 9, dtype)),
                       second = (all.*law)(rows(130, 9, dtype));
      for (const std::int64_t size : {1, 7, 64})
        for (std::int64_t begin = 0; begin < 130; begin += size) {
          const std::int64_t n = std::min<std::int64_t>(size, 130 - begin);
          Noise part(5, "path", begin);
          EXPECT_TRUE(at::equal((part.*law)(rows(n, 9, dtype)), first.narrow(0, begin, n)));
          EXPECT_TRUE(at::equal((part.*law)(rows(n, 9, dtype)), second.narrow(0, begin, n)));
        }
    }
}

TEST(Noise, HasTheSameBitsWithTwoThreads) {
  const int before = at::get_num_threads();
  const auto draw = [](int threads) {
    at::set_num_threads(threads);
    return Noise(5, "path").normal(rows(50, 4000));
  };
  const at::Tensor one = draw(1), two = draw(2);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, two));
}

TEST(Noise, InFloat32IsTheRoundingOfThatInFloat64) {
  for (const auto law : {&Noise::normal, &Noise::uniform, &Noise::sign}) {
    Noise wide(5, "path"), narrow(5, "path");
    const at::Tensor x = (wide.*law)(rows(100)), y = (narrow.*law)(rows(100, 9, at::kFloat));
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(y, x.to(at::kFloat)));
  }
}

TEST(Noise, AnElementDependsOnItsPlaceNotOnTheShape) {
  const at::Tensor flat = Noise(5, "path").normal(rows(3, 48)),
                   image = Noise(5, "path").normal(at::empty({3, 3, 4, 4}, at::kDouble));
  EXPECT_TRUE(at::equal(image.flatten(1), flat));
  const at::Tensor last =
      at::empty({3, 3, 4, 4}, at::kDouble).contiguous(at::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(at::equal(Noise(5, "path").normal(last), image));
}

TEST(Noise, EqualsBoxAndMullerOfItsWords) {
  // sqrt(-2 log u1) (cos, sin)(2 pi u2), of (seed, path), whatever they hash to: both draws share
  // the words.
  const at::Tensor u = Noise(5, "path").uniform(rows(200, 8)),
                   z = Noise(5, "path").normal(rows(200, 8));
  const at::Tensor pairs = u.view({200, 4, 2}), radius = (-2 * pairs.select(2, 0).log()).sqrt(),
                   angle = 2 * M_PI * pairs.select(2, 1);
  const at::Tensor expected =
      at::stack({radius * angle.cos(), radius * angle.sin()}, 2).view({200, 8});
  EXPECT_LT((z - expected).abs().max().item<double>(), 1e-13);
}

// one draw in 1000 of a perfect generator has a larger statistic than 1.95
TEST(Noise, NormalAndUniformHaveTheirLaws) {
  const at::Tensor z = Noise(7, "law").normal(rows(4000, 25)),
                   u = Noise(7, "law").uniform(rows(4000, 25));
  EXPECT_LT(kolmogorov_smirnov(z, normal_cdf), 1.95);
  EXPECT_LT(kolmogorov_smirnov(u, [](double x) { return x; }), 1.95);
  EXPECT_GT(kolmogorov_smirnov(1.02 * z, normal_cdf), 1.5);  // it sees 2 percent
}

TEST(Noise, HasTheMomentsOfItsLaws) {  // within 4 standard errors
  const double n = 100000;
  const auto near = [&](const at::Tensor& x, double expected, double variance) {
    EXPECT_NEAR(x.mean().item<double>(), expected, 4 * std::sqrt(variance / n));
  };
  const at::Tensor z = Noise(7, "moments").normal(rows(4000, 25)),
                   u = Noise(7, "moments").uniform(rows(4000, 25)),
                   s = Noise(7, "moments").sign(rows(4000, 25));
  near(z, 0, 1);
  near(z.square(), 1, 2);
  near(z.pow(3), 0, 15);
  near(z.pow(4), 3, 96);
  near(u, 0.5, 1 / 12.0);
  near((u - 0.5).square(), 1 / 12.0, 1 / 180.0);
  near(s, 0, 1);
  EXPECT_TRUE(at::equal(s.abs(), at::ones_like(s)));
}

TEST(Noise, StreamsSeedsSamplesAndDrawsAreUncorrelated) {
  const double bound = 4 / std::sqrt(100000.0);
  const Noise root(7, "root");
  Noise a = root.stream("a");
  const at::Tensor first = a.normal(rows(4000, 25)), second = a.normal(rows(4000, 25));
  const at::Tensor b = root.stream("b").normal(rows(4000, 25)),
                   a1 = root.stream("a", 1).normal(rows(4000, 25));
  const at::Tensor deeper = a.stream("a").normal(rows(4000, 25));
  const at::Tensor seed = Noise(8, "root").stream("a").normal(rows(4000, 25)),
                   path = Noise(7, "toor").stream("a").normal(rows(4000, 25));
  for (const at::Tensor& other : {second, b, a1, deeper, seed, path}) {
    EXPECT_LT(std::abs(correlation(first, other)), bound);
    EXPECT_LT(std::abs(correlation(first.square() - 1, other.square() - 1)), bound);
  }
  // neighbouring samples
  EXPECT_LT(std::abs(correlation(first.narrow(0, 0, 3999), first.narrow(0, 1, 3999))), bound);
  // and elements
  EXPECT_LT(std::abs(correlation(first.narrow(1, 0, 24), first.narrow(1, 1, 24))), bound);
}

TEST(Noise, TheSamePathGivesTheSameDraws) {
  EXPECT_TRUE(at::equal(Noise(7, "root").stream("a", 3).normal(rows(5)),
                        Noise(7, "root").stream("a", 3).normal(rows(5))));
}

TEST(Noise, AStreamOfOtherSamplesHasTheirDraws) {
  const at::Tensor all = Noise(7, "root").stream("a", 3).normal(rows(9));
  const Noise later(7, "root", 100);
  EXPECT_TRUE(at::equal(later.stream("a", 3, 4).normal(rows(5)), all.narrow(0, 4, 5)));
  EXPECT_TRUE(at::equal(later.stream("b").normal(rows(5)),
                        Noise(7, "root").stream("b").normal(rows(105)).narrow(0, 100, 5)));
}

TEST(Noise, OpeningAStreamTwiceThrows) {
  const Noise root(7, "root");
  root.stream("a");
  root.stream("a", 1);
  EXPECT_THROW(root.stream("a"), Error);
  EXPECT_THROW(root.stream("a", 1), Error);
  root.rows(1).stream("b");
  EXPECT_THROW(root.stream("b"), Error);
}

TEST(Noise, RowsThatAreOffDrawZeroAndKeepTheirCounts) {
  // Row 0 draws each time, row 1 only the first and the third, row 2 only the second and the third.
  Noise noise(7, "rows"), plain(7, "rows");
  const at::Tensor like = rows(3);
  const at::Tensor d[3] = {plain.normal(like), plain.normal(like), plain.normal(like)};
  const at::Tensor first = noise.rows(PerRow({1, 1, 0})).normal(like);
  const at::Tensor second = noise.rows(PerRow({1, 0, 1})).normal(like);
  const at::Tensor third = noise.normal(like);
  const at::Tensor zero = at::zeros({9}, at::kDouble);
  EXPECT_TRUE(at::equal(first, at::stack({d[0][0], d[0][1], zero})));
  EXPECT_TRUE(at::equal(second, at::stack({d[1][0], zero, d[0][2]})));
  EXPECT_TRUE(at::equal(third, at::stack({d[2][0], d[1][1], d[1][2]})));
}

TEST(Noise, RowsOfRowsAreOnOnlyWhereBothAre) {
  Noise noise(7, "rows");
  const at::Tensor x = noise.rows(PerRow({1, 1, 0})).rows(PerRow({1, 0, 1})).uniform(rows(3));
  EXPECT_GT(x[0].min().item<double>(), 0);
  EXPECT_EQ(x[1].abs().max().item<double>(), 0);
  EXPECT_EQ(x[2].abs().max().item<double>(), 0);
}

TEST(Noise, DrawsForOtherNumbersOfRowsAfterRowsDifferThrow) {
  Noise noise(7, "rows");
  noise.rows(PerRow({1, 0})).normal(rows(2));
  EXPECT_THROW(noise.normal(rows(3)), Error);
}

TEST(Noise, IsDrawnInFloatsOnly) {
  Noise noise(7, "types");
  EXPECT_THROW(noise.normal(rows(2, 2, at::kLong)), Error);
  EXPECT_THROW(noise.normal(rows(2, 2, at::kHalf)), Error);
}

}  // namespace
}  // namespace scorelab
